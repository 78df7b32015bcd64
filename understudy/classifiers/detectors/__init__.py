"""Detectors of private data, one file per family. A detector is a named function from a Scan to Spans."""

from __future__ import annotations

from understudy.classifiers.detectors.address import find_announced_addresses, find_street_addresses
from understudy.classifiers.detectors.banking import find_cards, find_ibans
from understudy.classifiers.detectors.contact import find_emails, find_phones, find_said_emails, find_said_phones
from understudy.classifiers.detectors.credentials import (
    find_assignments,
    find_flags,
    find_headers,
    find_spoken,
    find_sql,
    find_urls,
)
from understudy.classifiers.detectors.keys import find_keys, find_private_keys, find_random_strings, find_tails
from understudy.classifiers.detectors.logins import find_columns, find_far, find_given, find_pairs, find_phrases
from understudy.classifiers.detectors.national import find_national_ids, find_ssns
from understudy.classifiers.detectors.network import find_addresses
from understudy.classifiers.detectors.numbered import find_numbered, find_places
from understudy.classifiers.detectors.personal import (
    find_dates_of_birth,
    find_health,
    find_pay,
)
from understudy.classifiers.detectors.proper import find_names, find_places_and_peoples, find_times
from understudy.classifiers.detectors.readings import fold, views
from understudy.classifiers.detectors.scan import Detector, Scan
from understudy.types import Span

BALANCED: tuple[Detector, ...] = (
    find_keys,
    find_private_keys,
    find_random_strings,
    find_tails,
    find_assignments,
    find_spoken,
    find_given,
    find_pairs,
    find_far,
    find_phrases,
    find_columns,
    find_flags,
    find_sql,
    find_urls,
    find_headers,
    find_emails,
    find_said_emails,
    find_phones,
    find_said_phones,
    find_cards,
    find_ibans,
    find_ssns,
    find_national_ids,
    find_addresses,
    find_street_addresses,
    find_announced_addresses,
    find_dates_of_birth,
    find_numbered,
    find_places,
    find_health,
    find_pay,
)
STRICT: tuple[Detector, ...] = (*BALANCED, find_names, find_places_and_peoples, find_times)


def find(text: str, detectors: tuple[Detector, ...] = BALANCED) -> tuple[Span, ...]:
    """Everything the detectors see, in the order of the text, each place and type once."""
    folded = fold(text)
    scan = Scan(folded.text)
    spans = {span for detector in detectors for span in detector(scan)}
    for view in views(scan):
        other = Scan(view.text)
        spans |= {view.back(span) for detector in detectors for span in detector(other)}
    return tuple(sorted(map(folded.back, spans), key=lambda s: (s.start, s.end, s.type)))

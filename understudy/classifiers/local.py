from understudy.types import Guess, Intent
class LocalScorer:
    @classmethod
    def load(cls): return cls()
    def guess(self, text, *, tokens=None): return Guess(Intent.QUICK_QA, 0.9 if "?" in text else 0.3, "local", "?" not in text)

"""Words that say what a text is about or asks for, by what they say. Chosen by hand; English first."""

from __future__ import annotations

_WORDS: dict[str, str] = {
    "question": (
        "what which who whom whose when where how why was wer wann wo wie warum welche que qué quién cuándo dónde "
        "cómo cuál quel quelle qui quand où comment pourquoi combien che chi quando dove come perché qual quem onde "
        "что кто когда где как почему"
    ),
    "who_what": (
        "who what which whose name called known capital author invented discovered wrote located definition mean means"
    ),
    "amount": (
        "many much total altogether left remaining each per every twice half double times more fewer less sum average "
        "difference cost costs percent ratio how wieviel viele cuántos cuántas combien quanti"
    ),
    "logic": (
        "if then clue clues prove proof therefore implies exactly neither either must probability puzzle logic step "
        "steps deduce infer true false suppose assume given knights knaves argument consistent minimum maximum "
        "optimal tradeoff"
    ),
    "code_make": (
        "write implement create function program script code class method python java javascript sql regex api html "
        "css rust golang typescript algorithm component bash refactor build generate schreibe escribe écris funktion "
        "función fonction array string integer list nums input output returns constraints example"
    ),
    "code_see": (
        "fix bug review debug debugging wrong error fails failing failed crash crashes broken faulty incorrect "
        "problem issue exception traceback expected actual test tests pr diff patch lint leak security smell critique "
        "optimise optimize fehler revisa"
    ),
    "sum_up": (
        "summarize summarise summary summaries tldr tl dr recap condense shorten abstract gist bullet bullets "
        "overview key points takeaways minutes zusammenfassen zusammenfassung fasse resume resumen resumir résume "
        "résumé riassumi riassunto boil compress highlights synopsis outline digest concise brief"
    ),
    "recall": (
        "remember recall remind earlier previously mentioned told said discussed last conversation conversations "
        "memory memories facts fact speaker speakers session sessions persona profile preferences before ago talked "
        "remembered forget store note insights reflect reflection observations observation merke erinnerst recuerdas "
        "souviens forgot"
    ),
    "facts": "fact facts insight insights memory memories persona personas profile observations statements store "
    "stored remember extract durable lasting personal preferences inferred infer conclude concluded salient objective",
    "fresh": (
        "today tonight yesterday tomorrow current currently latest recent recently newest now this week month year "
        "breaking news live update updates upcoming released announced price prices stock score weather forecast "
        "happening trending heute aktuell neueste hoy actual últimas aujourd'hui actuel dernières oggi hoje agora "
        "сегодня сейчас новости so far still as"
    ),
    "seek": (
        "search find look google web online source sources cite citations links link website internet research "
        "compare url article articles report reports browse"
    ),
    "act": (
        "set turn play book call send schedule order remind add delete create open close start stop pause cancel text "
        "email message transfer pay buy reserve dim lock unlock switch change increase decrease raise lower mute skip "
        "post upload convert check get fetch retrieve show give list update subscribe register generate track put "
        "make calendar alarm timer reminder playlist lights thermostat volume flight hotel appointment meeting "
        "account stelle schalte pon enciende allume mets"
    ),
    "device": (
        "alarm timer lights light volume thermostat calendar reminder playlist song music tv speaker phone car room "
        "kitchen list todo shopping inbox bluetooth wifi camera door garage"
    ),
    "me": "i me my mine we our us i'm i've i'd ich mein meine mi mis je mon ma",
    "you": "you your yours du dein tu ton usted",
    "polite": "please could can would bitte por favor pouvez kannst puedes help need want like",
    "person": "he she his her him they their them john mary maria james",
    "talk": "said hey hi hello wow thanks yeah okay oh great lol haha um uh",
    "health": (
        "pain painful ache aches hurt hurts sore doctor doctors dr hospital surgery pill pills medicine medication "
        "drug dose mg blood pressure heart liver kidney lung lungs skin rash fever cough cold flu infection "
        "infected virus pregnant pregnancy period periods birth baby tablet tablets antibiotic antibiotics treat "
        "treated treatment cure cured symptom symptoms diagnosis diagnosed disease syndrome disorder cancer tumor "
        "diabetes thyroid asthma allergy allergic swelling swollen lump bleeding nausea vomiting headache migraine "
        "dizzy knee ankle stomach throat tooth teeth gum vitamin vaccine vaccinated ultrasound scan mri test "
        "positive hormone hormones sleep anxiety depression weight"
    ),
    "news": (
        "covid pandemic ukraine russia putin zelensky zelenskyy gaza israel hamas netanyahu biden trump harris musk "
        "tesla spacex tiktok twitter instagram facebook meta google apple amazon microsoft nvidia openai chatgpt ai "
        "gpt netflix disney swift beyonce kanye drake president minister senate congress republican democrat "
        "democratic senator governor mayor court supreme justice judge lawmakers prosecutors police officials "
        "authorities lawsuit sued charged convicted indicted trial verdict ceo company companies billionaire billion "
        "startup merger shares bank fed inflation tariffs layoffs strike union workers vaccine virus outbreak "
        "hurricane wildfire wildfires storm earthquake flood floods shooting protest protests protesters election "
        "elections vote voted voters candidate campaign referendum parliament war ceasefire troops missile drone nato "
        "summit climate crisis iphone android oscars grammys emmys eurovision olympics championship playoffs nasa "
        "launch telescope plane airline airlines crash crashed recall recalled banned ban resigned fired named died "
        "dies killed arrested accused alleged"
    ),
    "options": "options choices option choice choose answer following correct letter",
    "explain": "explain why because describe difference between mean work works",
}
LEXICON: dict[str, frozenset[str]] = {name: frozenset(words.split()) for name, words in _WORDS.items()}

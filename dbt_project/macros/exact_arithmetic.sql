{#
  Exact arithmetic on money, as SQL macros that live in the warehouse.

  DuckDB's `/` is a DOUBLE and its DECIMAL has 38 digits, so a quantity times a price times a
  share of a month cannot be computed exactly in either. An `exact` is a non-negative rational

      (units + num / den) * 10^-18        with 0 <= num < den, all three HUGEINT

  `units` alone is the value cut off after 18 places. Cutting off never crosses a rounding tie
  (a tie at 17 places or fewer is itself a whole number of units), so the rounding of `units`
  is the rounding of the true value. Overflow is an error in DuckDB, never a wrong number.

  `list_transform([x], lambda v: …)[1]` names a value: a macro's parameter is pasted wherever it
  stands, and pasting through several macros would multiply the expression without end.

  Dividing 128 bits costs fifty times what multiplying does, so `divided` finds quotient and
  remainder by one division, and nothing is divided for a remainder that is 0.
#}
{% macro prepare_warehouse() -%}
    {{ adapter.dispatch('prepare_warehouse')() }}
{%- endmacro %}

{% macro default__prepare_warehouse() -%}
    {{ create_exact_arithmetic() }}
{%- endmacro %}

{% macro create_exact_arithmetic() %}
-- how often b goes into a, in whole numbers
create or replace macro whole_quotient(a, b) as a // b;

-- the day on which an instant (microseconds since 1970) falls in a time zone
create or replace macro local_date(zone, us) as timezone(zone, make_timestamptz(us))::date;

-- the half hour, hour or day of a time zone in which an instant falls, as a number that grows with
-- time. The shorter ones are known by the instant at which they begin, or would have begun where the
-- clock skips that: an hour that the clock repeats is two. A day is known by the wall clock.
create or replace macro local_bucket(zone, bucket, us) as list_transform(
    [epoch_us(timezone(zone, make_timestamptz(us)))],
    lambda wall: case bucket
        when 'half_hour' then us - wall % 1800000000
        when 'hour' then us - wall % 3600000000
        when 'day' then wall - wall % 86400000000
    end
)[1];

create or replace macro exact(x) as {
    'units': trunc(x)::hugeint * 1000000000000000000::hugeint
        + ((x - trunc(x)) * 1000000000000000000::decimal(19, 0))::hugeint,
    'num': 0::hugeint,
    'den': 1::hugeint
};

-- numerator / denominator, where the numerator counts units (10^-18)
create or replace macro exact_quotient(numerator, denominator) as {
    'units': numerator::hugeint // denominator::hugeint,
    'num': numerator::hugeint % denominator::hugeint,
    'den': denominator::hugeint
};

-- a ÷ b in whole numbers: the quotient, and the remainder
create or replace macro divided(a, b) as list_transform(
    list_transform([{'a': a, 'b': b}], lambda v: {'a': v.a, 'b': v.b, 'quotient': v.a // v.b}),
    lambda v: {'quotient': v.quotient, 'remainder': v.a - v.quotient * v.b}
)[1];

-- the same value with num < den
create or replace macro exact_normal(x) as list_transform([x], lambda v: case
    when v.num < v.den then v
    else {'units': v.units + v.num // v.den, 'num': v.num % v.den, 'den': v.den}
end)[1];

-- a decimal in two whole numbers, so that neither leaves 38 digits when it is multiplied by
-- microseconds and summed: what stands before the point, and what behind it (in 10^-18)
create or replace macro exact_whole(x) as trunc(x)::hugeint;
create or replace macro exact_fraction(x) as
    ((x - trunc(x)) * 1000000000000000000::decimal(19, 0))::hugeint;

-- such two sums over so many microseconds
create or replace macro exact_average(whole_us, fraction_us, us) as exact_normal({
    'units': (whole_us // us::hugeint) * 1000000000000000000::hugeint,
    'num': (whole_us % us::hugeint) * 1000000000000000000::hugeint + fraction_us,
    'den': us::hugeint
});

-- a price of up to 12 places as a whole number of 10^-12
create or replace macro exact_pico(price) as
    trunc(price)::hugeint * 1000000000000::hugeint
    + ((price - trunc(price)) * 1000000000000::decimal(13, 0))::hugeint;

-- units * pico, by long multiplication so that no step leaves 38 digits
create or replace macro units_times_pico(units, pico) as list_transform(
    [{'cut': divided(units, 1000000000000::hugeint), 'pico': pico}],
    lambda v: list_transform(
        [divided(v.cut.remainder * v.pico, 1000000000000::hugeint)],
        lambda low: {
            'units': v.cut.quotient * v.pico + low.quotient,
            'num': low.remainder,
            'den': 1000000000000::hugeint
        }
    )[1]
)[1];

-- what the remainder num / den of a quantity adds to that; its num counts parts of den * 10^12
create or replace macro remainder_times_pico(num, den, pico) as list_transform(
    [{'num': num, 'den': den, 'price': divided(pico, 1000000000000::hugeint)}],
    lambda v: list_transform(
        [divided(v.num * v.price.quotient, v.den)],
        lambda whole: {
            'units': whole.quotient,
            'num': whole.remainder * 1000000000000 + v.num * v.price.remainder
        }
    )[1]
)[1];

-- x * price. Nothing is cut off: a gauge's amount is multiplied by its share of the period after
-- this, and may then be a tie. Parts of one quantity, with one den, have one den here as well.
create or replace macro exact_times(x, price) as list_transform(
    [{'x': x, 'pico': exact_pico(price)}],
    lambda v: list_transform(
        [units_times_pico(v.x.units, v.pico)],
        lambda product: case
            when v.x.den = 1 then product
            else list_transform(
                [remainder_times_pico(v.x.num, v.x.den, v.pico)],
                lambda rest: exact_normal({
                    'units': product.units + rest.units,
                    'num': product.num * v.x.den + rest.num,
                    'den': product.den * v.x.den
                })
            )[1]
        end
    )[1]
)[1];

-- x * part / whole, for 0 <= part <= whole
create or replace macro exact_share(x, part, whole) as list_transform(
    [{'cut': divided(x.units, whole::hugeint), 'x': x, 'part': part::hugeint,
        'whole': whole::hugeint}],
    lambda v: list_transform(
        [divided(v.cut.remainder * v.part, v.whole)],
        lambda low: exact_normal({
            'units': v.cut.quotient * v.part + low.quotient,
            'num': low.remainder * v.x.den + v.x.num * v.part,
            'den': v.x.den * v.whole
        })
    )[1]
)[1];

-- so many percent (of up to 12 places) of x: divided first, for the product has two digits more
create or replace macro exact_percentage(x, percent) as exact_times(exact_share(x, 1, 100), percent);

-- the whole units of x * part / whole. An average over `part` has it in its den, where it is
-- cancelled: the numbers stay below 38 digits, and a tie is met exactly.
create or replace macro share_units(x, part, whole) as list_transform(
    [{'cut': divided(x.units, whole::hugeint), 'x': x, 'part': part::hugeint,
        'whole': whole::hugeint, 'common': gcd(x.den, part::hugeint)}],
    lambda v: v.cut.quotient * v.part + (
        v.cut.remainder * v.part
        + v.x.num * (v.part // v.common) // (v.x.den // v.common)
    ) // v.whole
)[1];

-- one more piece of a * b ÷ c, after those whose quotient and remainder are known
create or replace macro next_of_product(known, a, piece, c) as list_transform(
    [{'known': known, 'a': a, 'piece': piece, 'c': c}],
    lambda v: list_transform(
        [divided(v.known.remainder * 1000000000000::hugeint + v.a * v.piece, v.c)],
        lambda low: {
            'quotient': v.known.quotient * 1000000000000::hugeint + low.quotient,
            'remainder': low.remainder
        }
    )[1]
)[1];

-- a * b ÷ c in whole numbers, for a <= c: the product may have more than 38 digits, so b is taken in
-- pieces of 12 digits, the first of them first. c has up to 25 digits, b up to 36.
create or replace macro divided_product(a, b, c) as list_transform(
    [{'a': a::hugeint, 'c': c::hugeint, 'high': divided(b::hugeint, 1000000000000::hugeint)}],
    lambda v: list_transform(
        [divided(v.high.quotient, 1000000000000::hugeint)],
        lambda top: next_of_product(
            next_of_product(divided(v.a * top.quotient, v.c), v.a, top.remainder, v.c),
            v.a, v.high.remainder, v.c
        )
    )[1]
)[1];

-- so many percent (at most 100, of up to 12 places) of whole minor units, half rounded up
create or replace macro minor_percentage(minor, percent) as list_transform(
    [divided_product(exact_pico(percent), minor, 100000000000000)],
    lambda v: v.quotient + case when v.remainder >= 50000000000000 then 1 else 0 end
)[1];

-- x times a quantity of at most 12 places, as a fraction in its lowest terms: nothing is cut off
create or replace macro exact_times_quantity(x, quantity) as list_transform(
    [{'x': x, 'units': exact(quantity).units}],
    lambda v: list_transform(
        [gcd(v.units, 1000000000000000000::hugeint)],
        lambda common: exact_share(
            v.x, v.units // common, 1000000000000000000::hugeint // common
        )
    )[1]
)[1];

-- x and y over their least common denominator
create or replace macro exact_common(x, y) as list_transform([{'x': x, 'y': y}], lambda v: {
    'x_units': v.x.units,
    'y_units': v.y.units,
    'x_num': v.x.num * (v.y.den // gcd(v.x.den, v.y.den)),
    'y_num': v.y.num * (v.x.den // gcd(v.x.den, v.y.den)),
    'den': v.x.den // gcd(v.x.den, v.y.den) * v.y.den
})[1];

-- x and so many units: a flat amount, which has no remainder
create or replace macro exact_plus(x, more) as list_transform([{'x': x, 'more': more}], lambda v: {
    'units': v.x.units + v.more, 'num': v.x.num, 'den': v.x.den
})[1];

-- x - y, and 0 where y is the greater
create or replace macro exact_minus(x, y) as list_transform([{'x': x, 'y': y}], lambda s: case
    when s.y.num = 0 and s.x.units >= s.y.units
        then {'units': s.x.units - s.y.units, 'num': s.x.num, 'den': s.x.den}
    else list_transform([exact_common(s.x, s.y)], lambda v: case
        when v.x_units > v.y_units and v.x_num < v.y_num then {
            'units': v.x_units - v.y_units - 1, 'num': v.x_num - v.y_num + v.den, 'den': v.den
        }
        when v.x_units > v.y_units or (v.x_units = v.y_units and v.x_num > v.y_num) then {
            'units': v.x_units - v.y_units, 'num': v.x_num - v.y_num, 'den': v.den
        }
        else {'units': 0::hugeint, 'num': 0::hugeint, 'den': v.den}
    end)[1]
end)[1];

-- the sum of a list of exacts; 0 where there are none
create or replace macro exact_sum(terms) as list_reduce(
    list_prepend(exact(0), coalesce(terms, [])),
    lambda x, y: list_transform([exact_common(x, y)], lambda v: exact_normal({
        'units': v.x_units + v.y_units, 'num': v.x_num + v.y_num, 'den': v.den
    }))[1]
);

-- the sum of a column of exacts that have one denominator, as the parts of one quantity have
create or replace macro exact_total(x) as
    exact_normal({'units': sum(x.units), 'num': sum(x.num), 'den': any_value(x.den)});

-- whether an exact quantity is above a bound, which is a decimal
create or replace macro exact_above(x, bound) as list_transform(
    [{'x': x, 'units': exact(bound).units}],
    lambda v: v.x.units > v.units or (v.x.units = v.units and v.x.num > 0)
)[1];

-- what of an exact quantity lies in (lower, upper], of a quantity that is not below `lower`; NULL as
-- `upper`: no bound. All parts keep the quantity's denominator, so that they add up exactly.
create or replace macro exact_between(x, lower, upper) as list_transform(
    [{'x': x, 'from': exact(lower).units, 'to': exact(upper).units}],
    lambda v: case
        when v.to is null or v.x.units < v.to
            then {'units': v.x.units - v.from, 'num': v.x.num, 'den': v.x.den}
        else {'units': v.to - v.from, 'num': 0::hugeint, 'den': v.x.den}
    end
)[1];

-- a whole number from an exact quantity: 'up', 'down', 'half_up'; 'none' leaves it as it is
create or replace macro exact_round_quantity(x, rounding) as list_transform(
    [{'x': x, 'rounding': rounding}],
    lambda v: case v.rounding
        when 'none' then v.x
        else {
            'units': (case v.rounding
                when 'up' then v.x.units + case when v.x.num > 0 then 1 else 0 end
                    + 999999999999999999
                when 'half_up' then v.x.units + 500000000000000000
                when 'down' then v.x.units
            end // 1000000000000000000) * 1000000000000000000,
            'num': 0::hugeint,
            'den': 1::hugeint
        }
    end
)[1];

-- units as a number with 18 places: the same 38 digits, read with a point among them
create or replace macro exact_decimal(units) as
    units::decimal(38, 0) * '0.000000000000000001'::decimal(18, 18);

-- the least multiple of a number that is not below a value
create or replace macro rounded_up(value, multiple) as list_transform(
    [{'units': exact(value).units, 'of': exact(multiple).units}],
    lambda v: exact_decimal((v.units + v.of - 1) // v.of * v.of)
)[1];

-- an exact quantity with 18 places, rounded half up for reading (not for computing)
create or replace macro exact_shown(x) as list_transform([x], lambda v: exact_decimal(
    v.units + case when v.num > 0 and v.num >= v.den - v.num then 1 else 0 end
))[1];

-- how many units a currency's smallest unit is, of so many decimal places; `**` would be a DOUBLE
create or replace macro minor_units(exponent) as case exponent
    when 0 then 1000000000000000000::hugeint
    when 1 then 100000000000000000::hugeint
    when 2 then 10000000000000000::hugeint
    when 3 then 1000000000000000::hugeint
    when 4 then 100000000000000::hugeint
    else error('no currency has ' || exponent || ' decimal places')
end;

-- units (of either sign) rounded half away from zero to the currency's smallest unit
create or replace macro rounded_to_minor(units, exponent) as list_transform(
    [{'units': units::hugeint, 'place': minor_units(exponent)}],
    lambda v: ((v.units + sign(v.units) * (v.place // 2)) // v.place
        * (v.place // 100000000000000))::decimal(38, 0) * '0.0001'::decimal(4, 4)
)[1];

-- an amount (of either sign) that has no more places than its currency, in whole minor units
create or replace macro whole_minor(amount, exponent) as
    sign(amount)::hugeint * (exact(abs(amount)).units // minor_units(exponent));

-- whole minor units (of either sign) in major units
create or replace macro minor_decimal(minor, exponent) as
    (minor::hugeint * (minor_units(exponent) // 100000000000000))::decimal(38, 0)
    * '0.0001'::decimal(4, 4);

-- units (of either sign) rounded half away from zero to 12 places
create or replace macro rounded_to_pico(units) as list_transform([units::hugeint], lambda u:
    ((u + sign(u) * 500000) // 1000000)::decimal(38, 0) * '0.000000000001'::decimal(12, 12)
)[1];

-- a number as people write it: no zeros at the end of what stands behind the point
create or replace macro plain(x) as regexp_extract(x::varchar, '^-?[0-9]+(\.[0-9]*[1-9])?');

-- an exact quantity as people write it; '≈' where it goes on behind what is shown
create or replace macro exact_text(x) as list_transform([x], lambda v:
    case when v.num > 0 then '≈' || plain(exact_shown(v)) else plain(exact_decimal(v.units)) end
)[1];
{% endmacro %}

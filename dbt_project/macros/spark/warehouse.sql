{#
  Before the models run on Spark: the functions that they call, and the sources as tables over the
  Parquet files that DuckDB handed over (transfer.sql).

  A HUGEINT is a DECIMAL(38, 0) here: it ends at 10^38 instead of 1.7 × 10^38. Spark must run with
  ANSI mode, so that overflow is an error, and without `allowPrecisionLoss`, which would round sums
  of DECIMAL(38, 18) to 17 places: both are set in profiles.yml and checked here, because a session
  that somebody else began may have them otherwise.
#}
{% macro spark__prepare_warehouse() -%}
    {% if execute %}
    {% for name, value in {
        'spark.sql.ansi.enabled': 'true',
        'spark.sql.decimalOperations.allowPrecisionLoss': 'false',
        'spark.sql.session.timeZone': 'UTC',
    }.items() %}
        {% set found = run_query('set ' ~ name).rows[0][1] %}
        {% if found != value %}
            {{ exceptions.raise_compiler_error(
                'Spark computes other numbers with ' ~ name ~ ' = ' ~ found ~ ': set it to ' ~ value
            ) }}
        {% endif %}
    {% endfor %}
    {% for function in spark_functions() %}
        {% do run_query('create or replace function ' ~ function) %}
    {% endfor %}
    {% do run_query('create schema if not exists raw') %}
    {% set folder = env_var('BILLING_SPARK_RAW') %}
    {% for source in graph.sources.values() if source.source_name == 'raw' %}
        {% do run_query('drop table if exists raw.' ~ source.name) %}
        {% do run_query(
            'create table raw.' ~ source.name ~ " using parquet location '" ~ folder
            | replace('\\', '\\\\') | replace("'", "\\'") ~ '/' ~ source.name ~ "'"
        ) %}
    {% endfor %}
    {% endif %}
{%- endmacro %}

{# `whole_quotient`: the narrower the divisor, the more digits Spark leaves a quotient before its
   point: 20 for a divisor of 38 digits, 28 for 20, 32 for 12, 35 for 6. `div` gives a BIGINT. #}
{% macro spark_functions() %}
    {% set exact = 'struct<units: decimal(38, 0), num: decimal(38, 0), den: decimal(38, 0)>' %}
    {{ return([
        "epoch_us(t timestamp) returns bigint return unix_micros(t)",
        "to_months(n int) returns interval year to month return make_ym_interval(0, n)",
        "to_microseconds(n bigint) returns interval day to second
            return make_dt_interval(0, 0, 0, (n * 0.000001)::decimal(18, 6))",
        "local_date(zone string, us bigint) returns date
            return from_utc_timestamp(timestamp_micros(us), zone)::date",
        "plain(x decimal(38, 18)) returns string
            return rtrim('.', rtrim('0', x::string))",
        "whole_quotient(a decimal(38, 0), b decimal(38, 0)) returns decimal(38, 0)
            return case
                when abs(b) < 1000000 then ((a - a % b) / b::decimal(6, 0))::decimal(38, 0)
                when abs(b) < 1000000000000 then ((a - a % b) / b::decimal(12, 0))::decimal(38, 0)
                when abs(b) < 100000000000000000000
                    then ((a - a % b) / b::decimal(20, 0))::decimal(38, 0)
                else ((a - a % b) / b)::decimal(38, 0)
            end",
        "exact_whole(x decimal(38, 18)) returns decimal(38, 0)
            return (x - x % 1)::decimal(38, 0)",
        "exact_fraction(x decimal(38, 18)) returns decimal(38, 0)
            return ((x % 1) * 1000000000000000000)::decimal(38, 0)",
        "exact(x decimal(38, 18)) returns " ~ exact ~ "
            return named_struct(
                'units', exact_whole(x) * 1000000000000000000 + exact_fraction(x),
                'num', 0::decimal(38, 0), 'den', 1::decimal(38, 0)
            )",
        "exact_normal(v " ~ exact ~ ") returns " ~ exact ~ "
            return named_struct(
                'units', v.units + whole_quotient(v.num, v.den), 'num', v.num % v.den, 'den', v.den
            )",
        "exact_average(whole_us decimal(38, 0), fraction_us decimal(38, 0), us decimal(38, 0))
            returns " ~ exact ~ " return exact_normal(named_struct(
                'units', whole_quotient(whole_us, us) * 1000000000000000000,
                'num', (whole_us % us) * 1000000000000000000 + fraction_us,
                'den', us
            ))",
        "exact_decimal(units decimal(38, 0)) returns decimal(38, 18)
            return whole_quotient(units, 1000000000000000000)::decimal(38, 18)
                + (units % 1000000000000000000)::decimal(18, 0) * 0.000000000000000001",
        "rounded_up(value decimal(38, 18), multiple decimal(38, 18)) returns decimal(38, 18)
            return exact_decimal(
                whole_quotient(exact(value).units + exact(multiple).units - 1, exact(multiple).units)
                * exact(multiple).units
            )",
        "local_bucket(zone string, bucket string, us bigint) returns bigint return case bucket
                when 'half_hour' then
                    us - unix_micros(from_utc_timestamp(timestamp_micros(us), zone)) % 1800000000
                when 'hour' then
                    us - unix_micros(from_utc_timestamp(timestamp_micros(us), zone)) % 3600000000
                when 'day' then
                    unix_micros(from_utc_timestamp(timestamp_micros(us), zone))
                    - unix_micros(from_utc_timestamp(timestamp_micros(us), zone)) % 86400000000
            end",
        "exact_shown(v " ~ exact ~ ") returns decimal(38, 18) return exact_decimal(
                v.units + case when v.num > 0 and v.num >= v.den - v.num then 1 else 0 end
            )",
    ]) }}
{% endmacro %}

{# Contracts name types as DuckDB does. #}
{% macro spark__get_empty_schema_sql(columns) -%}
    {% set types = {'varchar': 'string', 'timestamp with time zone': 'timestamp'} %}
    {% for column in columns.values() %}
        {% do column.update({'data_type': types.get(column.data_type, column.data_type)}) %}
    {% endfor %}
    {{ default__get_empty_schema_sql(columns) }}
{%- endmacro %}

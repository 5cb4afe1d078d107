{#
  A table as it is published, with all months: what reports read.

  The published database consists of views, and a reader may attach it under any name: so a report
  names its tables without database and schema, and publishing makes a view of that very query
  (billing_pipeline/published/publish.py). With `--target published` the published database is
  attached as `billing`, and the reports are built beside it, in memory.
#}
{% macro all_months(relation) -%}
    {{ 'billing.main.' if target.name == 'published' }}{{ (relation | string).split('.') | last }}
{%- endmacro %}

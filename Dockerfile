# One image for all services: the UI, the daemon, the receiver of webhooks, and `billing …`.
# docs/containers.md says how to run them.

FROM python:3.11.14-slim-bookworm AS build
# requirements-postgres.txt for Dagster's history in PostgreSQL.
ARG REQUIREMENTS=requirements.txt
ENV PATH=/opt/billing/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/billing
WORKDIR /src
# Before the code, so that a change of the code does not install them again.
COPY requirements.txt requirements-postgres.txt ./
RUN pip install --no-deps --require-hashes -r "$REQUIREMENTS"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY billing_pipeline billing_pipeline
COPY dbt_project dbt_project
RUN pip wheel . --no-deps --no-build-isolation --wheel-dir /wheel \
    && pip install --no-deps --no-index /wheel/*.whl
# dbt's project is parsed once, here: a container writes only to its home.
WORKDIR /
RUN python -m billing_pipeline.prepare

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/billing billing
COPY --from=build /opt/billing /opt/billing
ENV PATH=/opt/billing/bin:$PATH \
    BILLING_HOME=/var/lib/billing/home \
    BILLING_DATA_DIR=/data \
    DAGSTER_HOME=/var/lib/billing/home/dagster
USER 10001
WORKDIR /var/lib/billing
VOLUME /var/lib/billing
# The UI, and the receiver of webhooks.
EXPOSE 3000 8787
# Nothing is served unless it is asked for: the UI has no log-in of its own.
CMD ["billing", "status"]

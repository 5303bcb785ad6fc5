# Jobyard's image: one for the operator, the workers, the REST API and the command line.
#   docker build -t jobyard .
# Applications build theirs on it: FROM jobyard, COPY their modules, and name them in the JobQueue.
# BASE is any image with Python 3.11 or newer and its venv module.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/jobyard
# Dependencies first: they change more rarely than the code, and are kept as a layer of their own.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir -p workers/jobyard operator/jobyard_operator \
    && touch workers/jobyard/__init__.py operator/jobyard_operator/__init__.py \
    && /opt/jobyard/bin/pip install --no-cache-dir '.[jobs,postgresql,dashboard,operator]' \
    && /opt/jobyard/bin/pip uninstall --yes jobyard
COPY workers workers
COPY operator operator
RUN /opt/jobyard/bin/pip install --no-cache-dir --no-deps . \
    && /opt/jobyard/bin/python -m compileall -q /opt/jobyard/lib

FROM ${BASE}
COPY --from=build /opt/jobyard /opt/jobyard
ENV PATH=/opt/jobyard/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /app
ENV PYTHONPATH=/app
# No name needed, and none that could be root's: Kubernetes checks the number.
USER 65532:65532
ENTRYPOINT ["jobyard"]
CMD ["--help"]

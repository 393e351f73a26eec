# Gitwright's server with its built-in agent; no other one, and no tools for tests. How to add them, and to run it: docs/operating.md,
# "As a service".   Build: docker build -t gitwright .
#
# Agents and tests run in bubblewrap, which needs unprivileged user namespaces and a /proc of its own. Docker's default
# profiles refuse the first, the paths it hides in /proc the second; start the container with profiles that allow them (or
# --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, which weakens
# the outer wall). Without it the server does not start.
FROM python:3.13-slim-trixie

RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 --shell /usr/sbin/nologin gitwright \
    && install --directory --owner=gitwright --group=gitwright --mode=0700 /data

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements.lock

COPY LICENSE app.yml ./
COPY bot ./bot
COPY handlers ./handlers
COPY prompts ./prompts
COPY forge ./forge

ENV PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GITWRIGHT_HOST=0.0.0.0 \
    GITWRIGHT_PORT=8080 \
    GITWRIGHT_DATA_DIR=/data

USER gitwright
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"GITWRIGHT_PORT\"]}/healthz', timeout=4)"]

ENTRYPOINT ["python", "-m", "bot"]
CMD ["serve"]

# syntax=docker/dockerfile:1.7
# The trainer: the services' image with the libraries that compute (torch, Transformers).
#
#     docker build -f deploy/images/trainer.Dockerfile -t harden/trainer:0.1.0 .
#
# The bases are arguments, so that a mirror or a digest of your own can stand in their place.
ARG PYTHON_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The libraries before the sources: a change of ours does not fetch them again.
COPY requirements/build.txt requirements/trainer.txt requirements/
RUN python -m venv --without-pip /opt/harden \
 && python -m pip install --require-hashes -r requirements/build.txt \
 && python -m pip --python /opt/harden/bin/python install --require-hashes -r requirements/trainer.txt
COPY pyproject.toml README.md LICENSE ./
COPY protos/gen protos/gen
COPY shared shared
COPY services services
COPY experiments experiments
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
 && python -m pip --python /opt/harden/bin/python install --no-deps --no-index /wheels/*.whl

FROM ${PYTHON_IMAGE}
# Volumes mounted here take this owner, so nothing has to start as root to give them one.
RUN install -d -o 10001 -g 10001 /var/lib/harden /var/lib/harden/store /var/lib/harden/keys /var/lib/harden/state
COPY --from=build /opt/harden /opt/harden
# Byte code was written by the installer; the root file system may be read-only.
ENV PATH=/opt/harden/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Models come from the store or a mounted directory. A hub that is asked anyway would hang where egress is closed.
ENV HF_HUB_OFFLINE=1 HF_HOME=/tmp/huggingface
WORKDIR /var/lib/harden
USER 10001:10001
ENTRYPOINT ["/opt/harden/bin/python", "-m"]
CMD ["harden.trainer.main"]

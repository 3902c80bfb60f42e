# syntax=docker/dockerfile:1.7
# Triton with the policy model: NVIDIA's server as it is, our model repository and the libraries its Python backend needs.
#
#     docker build -f deploy/images/triton.Dockerfile -t harden/triton:0.1.0 .
#
# The bases are arguments, so that a mirror or a digest of your own can stand in their place. Their Pythons must be of
# one version: the server's Python backend is bound to that of its image.
ARG PYTHON_IMAGE=docker.io/library/python:3.12.12-slim-bookworm
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:24.12-py3

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The libraries before the sources: a change of ours does not fetch them again.
COPY requirements/build.txt requirements/triton.txt requirements/
RUN python -m pip install --require-hashes -r requirements/build.txt \
 && python -m pip install --target /opt/harden/python --require-hashes -r requirements/triton.txt
COPY pyproject.toml README.md LICENSE ./
COPY protos/gen protos/gen
COPY shared shared
COPY services services
COPY experiments experiments
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
 && python -m pip install --target /opt/harden/python --no-deps --no-index /wheels/*.whl

FROM ${TRITON_IMAGE}
# Another user than the services', who cannot read their private key. The store's directory is theirs all the same: a
# volume takes the owner it finds here.
RUN install -d -o 10001 -g 10001 /var/lib/harden /var/lib/harden/store /var/lib/harden/keys
COPY --from=build /opt/harden /opt/harden
# Models come from the store. A hub that is asked anyway would hang where egress is closed.
ENV PYTHONPATH=/opt/harden/python HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 HF_HOME=/tmp/huggingface
WORKDIR /tmp
USER 10002:10002
# The configurations are complete; completing them would import every model twice.
# The repository is written at start: which slots are served is a setting, HARDEN_TRITON__SLOTS, and all written are loaded.
CMD ["/bin/sh", "-c", \
     "python3 -m harden.triton.repository /tmp/harden-models && exec /opt/tritonserver/bin/tritonserver \"$@\"", "tritonserver", \
     "--model-repository=/tmp/harden-models", "--model-control-mode=explicit", "--load-model=*", \
     "--disable-auto-complete-config", "--exit-timeout-secs=30"]

# tikval in a container: not as root, and on a root file system that nothing writes to.
#
#   docker build -t tikval .                            # for cores; GPUs of NVIDIA: --build-arg TORCH=cu128
#   docker run --rm --read-only --tmpfs /tmp --shm-size 2g -v "$PWD/out:/out" tikval demo --out /out/demo
#
# Never built by a container engine. `.ci/bare-chroot` runs these very steps in a clean Debian, and the result as the
# second line does (docs/install.md). Before you publish an image, pin its base: BASE=debian:bookworm-slim@sha256:...,
# with the digest that `docker buildx imagetools inspect debian:bookworm-slim` names. None is written here, since none
# could be looked up where this was written.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update -q && apt-get install -y -q --no-install-recommends ca-certificates python3 python3-venv
WORKDIR /src
COPY .ci/locks .ci/locks
COPY .ci/torch .ci/torch
# uv and hatchling stay here; versions and hashes are those of .ci/locks
RUN python3 -m venv /opt/build && /opt/build/bin/pip install -q --no-deps --require-hashes -r .ci/locks/build.txt
ENV PATH=/opt/build/bin:/usr/bin:/bin
RUN python3 -m venv --without-pip /opt/tikval \
    && uv pip install -q --compile-bytecode --python /opt/tikval/bin/python --no-deps --require-hashes -r .ci/locks/run.txt
ARG TORCH=cpu
RUN .ci/torch /opt/tikval/bin/python ${TORCH}
COPY pyproject.toml README.md LICENSE NOTICE .
COPY tikval tikval
COPY prompts prompts
COPY configs configs
COPY examples examples
RUN uv build -q --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /dist . \
    && uv pip install -q --compile-bytecode --python /opt/tikval/bin/python --no-deps /dist/tikval-*.whl
RUN TIKVAL_CACHE=/opt/tikval/models /opt/tikval/bin/python -m tikval.hub.bundled

FROM ${BASE}
# wget: KubeRay's probes ask with it
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends ca-certificates python3 tesseract-ocr tesseract-ocr-eng wget \
    && rm -rf /var/lib/apt/lists/*
# the ids of docs/rayjob.yaml; a login shell, which KubeRay starts, resets PATH
RUN useradd --uid 1000 --gid users --create-home tikval \
    && echo 'PATH=/opt/tikval/bin:$PATH' >/etc/profile.d/tikval.sh \
    && mkdir /out && chown tikval:users /out
COPY --from=build /opt/tikval /opt/tikval
ENV PATH=/opt/tikval/bin:/usr/local/bin:/usr/bin:/bin
ENV TIKVAL_CACHE=/opt/tikval/models
ENV MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache
# what a GPU's container is given of the driver; elsewhere they mean nothing
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER tikval
WORKDIR /home/tikval
ENTRYPOINT ["tikval"]
CMD ["--help"]

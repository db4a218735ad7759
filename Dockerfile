# One image for every process of ours: worker, learner, archive, serving, any command. `docker compose build`, or
# `docker build -t headrace .`; docs/deploy.md says how it is run. What is installed is what constraints.txt has, by its hashes;
# uv and hatchling, which install and build, too. No torch: who trains networks does so elsewhere.
#
# `python -m bench.image` runs these steps in a folder, where there is no engine, and says what the image weighs.

# The digest is that of the index of all platforms, as others' repositories name it: no registry was asked when this was written.
FROM python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_LINK_MODE=copy
WORKDIR /build
COPY pyproject.toml constraints.txt ./
RUN sed -n '/^uv==/,/[^\\]$/p' constraints.txt > uv.txt \
 && pip install --require-hashes -r uv.txt \
 && python -m venv --without-pip /opt/headrace
# What others wrote changes seldom: a layer of its own, without their tests (a twelfth of it).
RUN uv pip install --python /opt/headrace/bin/python --compile-bytecode --require-hashes --constraint constraints.txt \
      -r pyproject.toml --extra history --extra network --extra avro --extra learn --extra serve \
 && find /opt/headrace -type d -name tests -prune -exec rm -r {} +
COPY README.md LICENSE ./
COPY schemas/ schemas/
COPY features/ features/
COPY models/ models/
COPY storage/ storage/
COPY archive/ archive/
COPY training/ training/
COPY streams/ streams/
COPY serving/ serving/
COPY simulation/ simulation/
RUN uv build --wheel --require-hashes --build-constraints constraints.txt --out-dir wheels . \
 && uv pip install --python /opt/headrace/bin/python --compile-bytecode --no-deps wheels/*.whl
# The loops of the fold and of models of trees are machine code (docs/decisions/0007): made here, or it takes the first start
# twenty seconds. Where a container may write to none of it, nothing is read of it either: it lies in a place for a volume.
# -P: of what was installed, not of what lies here; the code is kept by the path of its source.
ENV NUMBA_CACHE_DIR=/var/cache/headrace
RUN mkdir -p /var/cache/headrace /var/headrace/archive /var/headrace/registry \
 && /opt/headrace/bin/python -P -c 'import features.kernel, models.kernel'

FROM python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84
ENV PATH=/opt/headrace/bin:$PATH NUMBA_CACHE_DIR=/var/cache/headrace HOME=/tmp \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/headrace /opt/headrace
COPY --from=build --chown=10001:10001 /var/cache/headrace /var/cache/headrace
COPY --from=build --chown=10001:10001 /var/headrace /var/headrace
COPY ops/compose/answers.sh /usr/local/bin/answers
WORKDIR /var/headrace
USER 10001:10001
VOLUME ["/var/cache/headrace"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["headrace"]
CMD ["--help"]

ARG BASE=node:24.21.0-bookworm-slim
FROM ${BASE}

ENV NODE_ENV=production
WORKDIR /app

# The optional dependencies bring Node itself, which the image has.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional && npm cache clean --force

COPY config config
COPY src src

# Beyond loopback the service starts only with MODEL_SERVER_URL and ACCESS=own: see README.md.
ENV HOST=0.0.0.0 PORT=3000 DATA_DIR=/app/data
RUN mkdir data && chown node:node data
USER node
VOLUME /app/data
EXPOSE 3000

# It asks itself over loopback, where its certificate names another host.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["node", "--no-warnings", "-e", "\
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; \
  const scheme = process.env.TLS_CERT_FILE ? 'https' : 'http'; \
  fetch(scheme + '://127.0.0.1:' + process.env.PORT + '/health') \
    .then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

CMD ["node", "--max-semi-space-size=16", "src/main.ts"]

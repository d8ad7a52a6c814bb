# The product's image: server and worker. The dev neighbours and the stack are not part of it.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
# .dockerignore lets only sources and settings through.
COPY . .
# The workflow bundle is made here, so that a worker does not bundle at each start.
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# What is optional is Node, which the image has, and the compiler, which bundles workflows above.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

# The dev neighbours need packages that the product does not; docker-compose.yml's profile "dev".
FROM build AS dev
USER node
ENV NODE_ENV=development
CMD ["node", "--enable-source-maps", "dist/dev/gateway/main.js"]

# Debian rather than Alpine: Temporal's native core needs glibc.
FROM node:24-bookworm-slim AS product
WORKDIR /app
ENV NODE_ENV=production
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist/src ./dist/src
COPY --from=build /app/dist/workflow-bundle.js ./dist/workflow-bundle.js
COPY package.json ./
COPY proto ./proto
COPY migrations ./migrations
# Read from the sources, wherever the compiled code is.
COPY src/activities/redis/lua ./src/activities/redis/lua
USER node
EXPOSE 9094 8094 8095
# The worker: CMD ["node", "--enable-source-maps", "dist/src/worker.js"]
CMD ["node", "--enable-source-maps", "dist/src/server.js"]

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// Programs and commands that the tests start are TypeScript: most of a short one's life is making it readable, so that is kept.
process.env['NODE_COMPILE_CACHE'] ??= source('./node_modules/.cache/programs-of-tests')

const house = ['test/architecture.test.ts', 'test/docs.test.ts']
const units = ['test/foundation/**/*.test.ts', 'test/core/{broker,contract,envelope}/**/*.test.ts']

export default defineConfig({
  resolve: {
    // What users import is what the tests import, from the sources.
    alias: [
      { find: /^trunkline$/, replacement: source('./src/index.ts') },
      { find: /^trunkline\/contract$/, replacement: source('./src/core/contract/contract.ts') },
      { find: /^trunkline\/testing$/, replacement: source('./src/faces/testing/testing.ts') },
      { find: /^trunkline\/(drizzle|kysely|prisma|typeorm)$/, replacement: source('./src/adapters/orm/$1.ts') },
    ],
  },
  test: {
    pool: 'forks',
    // Most cases wait for servers: with two files at a time two cores are a third idle. A build has nobody who waits for it.
    maxWorkers: process.env['CI'] === undefined ? 3 : 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    projects: [
      // The rules of the house read files only; `npm run check` asks them without a server.
      { extends: true, test: { name: 'house', include: house } },
      // These need no server either, and share nothing that a test changes: files follow each other in one process.
      { extends: true, test: { name: 'units', include: units, isolate: false } },
      {
        extends: true,
        test: { name: 'suites', include: ['test/**/*.test.ts'], exclude: [...house, ...units], globalSetup: ['./test/kit/servers.ts'] },
      },
    ],
  },
})

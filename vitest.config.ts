import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    // What users import is what the tests import, from the sources.
    alias: [
      { find: /^trunkline$/, replacement: source('./src/index.ts') },
      { find: /^trunkline\/contract$/, replacement: source('./src/core/contract/contract.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['./test/kit/servers.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})

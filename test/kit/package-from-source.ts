import { registerHooks } from 'node:module'

const sources = new Map([
  ['trunkline', new URL('../../src/index.ts', import.meta.url).href],
  ['trunkline/contract', new URL('../../src/core/contract/contract.ts', import.meta.url).href],
  ['trunkline/drizzle', new URL('../../src/adapters/orm/drizzle.ts', import.meta.url).href],
  ['trunkline/testing', new URL('../../src/faces/testing/testing.ts', import.meta.url).href],
])

// Imported before a program of a user's, by `node --import`: the package that it names is the one in src/.
registerHooks({
  resolve: (specifier, context, next) => {
    const url = sources.get(specifier)
    return url === undefined ? next(specifier, context) : { url, format: 'module-typescript', shortCircuit: true }
  },
})

import { inject } from 'vitest'
import { isMissing } from '../../src/faces/stack/missing.ts'
import { registryInstallation } from '../../src/faces/stack/registry-installation.ts'
import { startStack } from '../../src/faces/stack/stack.ts'
import { Watchdog } from '../../src/faces/stack/watchdog.ts'

/** A real schema registry for suites: one that was given, or Apicurio on this machine. */
export interface RegistryServer {
  /** Why there is none, where this machine cannot run it. */
  readonly missing: string | undefined
  start(): Promise<{ readonly url: string; stop(): Promise<void> }>
}

/** Finds out, before a suite begins, whether there is a registry for it. */
export async function registryServer(): Promise<RegistryServer> {
  const given = process.env['TRUNKLINE_TEST_REGISTRY_URL']
  if (given) return { missing: undefined, start: async () => ({ url: given, stop: async () => undefined }) }
  const watchdog = new Watchdog()
  const installation = await registryInstallation({ watchdog, env: process.env, say: (line) => console.log(line) })
  await watchdog.close()
  return {
    missing: isMissing(installation) ? `${installation.what}; ${installation.remedy}` : undefined,
    start: async () => {
      const others = { brokers: ['unused:9092'], databaseUrl: inject('databaseUrl') }
      const stack = await startStack({ given: others, registry: true, env: process.env, say: () => undefined })
      return { url: stack.registryUrl ?? '', stop: () => stack.stop() }
    },
  }
}

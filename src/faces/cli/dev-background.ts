import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { TransientError } from '../../foundation/errors.ts'
import { isRunning } from '../stack/process-identity.ts'
import { startStack } from '../stack/stack.ts'
import { checkRegistry, givenIn, isAnswering, isComplete, startDevStack, type WantedStack } from './dev-stack.ts'
import { DevState, orphansMsMax, type StackRecord, serversEnd } from './dev-state.ts'
import { exitCodes, shownError } from './exit-codes.ts'
import { interruption } from './interruption.ts'
import { prepare } from './prepare.ts'

const stopMsMax = 40_000
const pollMs = 50
/** How soon the background process notices that its project's folder was deleted. */
const heldCheckMs = 1_000

/** Starts the stack in the background, or finds the one that runs; prints the addresses on stdout. */
export async function devUp(project: string, wanted: WantedStack): Promise<void> {
  const state = new DevState(project)
  using interrupted = interruption()
  const environment = (await givenEnvironment(wanted)) ?? (await backgroundStack(state, wanted, interrupted.signal)).environment
  await prepare(environment, project, say)
  for (const [name, value] of Object.entries(environment)) console.log(`${name}=${value}`)
}

/** Stops the stack of the project; nothing to stop is fine. */
export async function devDown(project: string): Promise<void> {
  const record = await new DevState(project).running()
  if (record === undefined) return say('Nothing runs for this project.')
  if (record.command === 'run') say(`The stack belongs to "trunkline dev run" (pid ${record.pid}), which ends with it.`)
  await end(record)
  say('Stopped. The data stays in .trunkline/data.')
}

/** Says what runs; the exit code is 0 only when it runs and answers. */
export async function devStatus(project: string, json: boolean): Promise<void> {
  const record = await new DevState(project).running()
  const answering = record?.phase === 'up' && (await isAnswering(record))
  if (json) {
    const { pid, command, environment, servers } = record ?? {}
    console.log(JSON.stringify({ running: answering, phase: record?.phase ?? 'down', pid, command, environment, servers }))
  } else if (record === undefined) console.log('Nothing runs for this project. Start it: trunkline dev up')
  else {
    for (const server of record.servers) console.log(server.line)
    console.log(`The stack of "trunkline dev ${record.command}" (pid ${record.pid}) is ${answering ? 'up' : howItIsNot(record)}.`)
  }
  if (!answering) process.exitCode = exitCodes.failure
}

function howItIsNot({ phase }: StackRecord): string {
  return phase === 'starting' ? 'starting' : 'not answering; look at .trunkline/*.log, or run "trunkline dev down"'
}

/** The process behind `dev up`: it holds the stack until it is told to stop, or until a server ends by itself. */
export async function devHost(project: string, wanted: WantedStack): Promise<void> {
  const state = new DevState(project)
  using interrupted = interruption()
  // Another host was quicker; whoever started this one looks for its record.
  if ((await state.claim('up')) !== undefined) return
  let abandon: (why: string) => void = () => undefined
  const abandoned = new Promise<string>((resolve) => {
    abandon = resolve
  })
  // Also keeps this process running, which neither servers nor signals do.
  const watch = setInterval(() => {
    void state.isHeld().then((held) => held || abandon('The folder .trunkline is gone.'))
  }, heldCheckMs)
  try {
    const stack = await startDevStack(state, { ...wanted, env: process.env, say, signal: interrupted.signal })
    const failure = await Promise.race([stack.ended, abandoned, interrupted.happened])
    if (!interrupted.signal.aborted) {
      say(`${failure} The stack is stopped; look at .trunkline/*.log.`)
      process.exitCode = exitCodes.failure
    }
    await stack.stop()
  } catch (error) {
    if (!interrupted.signal.aborted) say(shownError(error, false))
    process.exitCode = exitCodes.failure
  } finally {
    clearInterval(watch)
    await state.release()
  }
}

/** When every address is given there is nothing to start and nothing to hold. */
async function givenEnvironment(wanted: WantedStack): Promise<Record<string, string> | undefined> {
  const given = givenIn(process.env)
  if (!isComplete(given, wanted)) return undefined
  return (await startStack({ given, env: process.env, say })).environment()
}

async function backgroundStack(state: DevState, wanted: WantedStack, signal: AbortSignal): Promise<StackRecord> {
  const found = await state.running()
  if (found !== undefined) {
    const record = found.phase === 'up' ? found : await whenUp(state, undefined, signal)
    if (record !== undefined && (await isAnswering(record))) {
      checkRegistry(record, wanted.registry)
      say(`It runs already ("trunkline dev ${record.command}", pid ${record.pid}).`)
      return record
    }
    say(`The stack of pid ${found.pid} does not answer; it is started again.`)
    await end(found)
  }
  await state.makeDirectory()
  const host = await spawnHost(state, wanted)
  const record = await whenUp(state, host, signal)
  if (record !== undefined) return record
  throw new TransientError('STACK_NOT_STARTED', `The stack did not start; ${state.logPath} says why.`)
}

async function spawnHost(state: DevState, { nodes, registry }: WantedStack): Promise<ChildProcess> {
  const bin = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './bin.ts' : './bin.js', import.meta.url))
  await writeFile(state.logPath, '')
  const log = await open(state.logPath, 'a')
  try {
    const flags = ['--brokers', String(nodes), ...(registry ? ['--registry'] : [])]
    const host = spawn(process.execPath, [bin, 'dev', 'host', ...flags], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    host.unref()
    return host
  } finally {
    await log.close()
  }
}

/** Waits for a record that is up, and shows meanwhile what the host says. @returns `undefined` when no host is left */
async function whenUp(state: DevState, host: ChildProcess | undefined, signal: AbortSignal): Promise<StackRecord | undefined> {
  for (let shown = 0; ; await sleep(pollMs)) {
    if (host !== undefined) shown = await showLog(state, shown)
    const record = await state.running()
    if (record?.phase === 'up') return record
    if (signal.aborted) {
      host?.kill('SIGTERM')
      await hostEnd(host)
      signal.throwIfAborted()
    }
    const hostEnded = host === undefined || host.exitCode !== null || host.signalCode !== null
    if (record === undefined && hostEnded) {
      if (host !== undefined) await showLog(state, shown)
      return undefined
    }
  }
}

async function hostEnd(host: ChildProcess | undefined): Promise<void> {
  if (host === undefined || host.exitCode !== null || host.signalCode !== null) return
  host.ref()
  await new Promise<void>((resolve) => host.once('exit', () => resolve()))
}

async function showLog(state: DevState, shown: number): Promise<number> {
  const log = await readFile(state.logPath, 'utf8').catch(() => '')
  process.stderr.write(log.slice(shown))
  return log.length
}

/** Ends the process of the record, and with it its servers: they never outlive it, even when it has to be killed. */
async function end(record: StackRecord): Promise<void> {
  process.kill(record.pid, 'SIGTERM')
  for (const deadline = Date.now() + stopMsMax; await isRunning(record.pid, record.start); await sleep(pollMs)) {
    if (Date.now() > deadline) process.kill(record.pid, 'SIGKILL')
  }
  if (await serversEnd(record, orphansMsMax)) return
  const pids = record.servers.flatMap((server) => server.processes.map(({ pid }) => pid))
  throw new TransientError('STACK_NOT_STOPPED', `Servers of the stack did not end: pids ${pids.join(', ')}. End them yourself.`)
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

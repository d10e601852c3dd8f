import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigurationError } from '../../foundation/errors.ts'
import { type Stack, startStack } from '../stack/stack.ts'
import { Watchdog } from '../stack/watchdog.ts'
import { checkRegistry, type GivenAddresses, givenIn, isAnswering, isComplete, startDevStack, type WantedStack } from './dev-stack.ts'
import { DevState, type StackRecord } from './dev-state.ts'
import { exitCodeOfSignal, exitCodes } from './exit-codes.ts'
import { interruption } from './interruption.ts'
import { prepare } from './prepare.ts'

/** After our death by force the command gets this long to end. */
const orphanKillAfterMs = 10_000
/** Whoever presses Ctrl-C so often wants out now. */
const interruptsBeforeKill = 3
const pollMs = 50

interface RunStack {
  readonly environment: Readonly<Record<string, string>>
  readonly own: Stack | undefined
}

/** Runs a command on the stack; what was started for it is stopped after it. The exit code is the command's. */
export async function devRun(project: string, words: readonly string[], wanted: WantedStack): Promise<void> {
  const state = new DevState(project)
  const stack = await startFor(state, wanted)
  try {
    {
      using interrupted = interruption()
      await Promise.race([prepare(stack.environment, project, say), interrupted.happened])
      interrupted.signal.throwIfAborted()
    }
    void stack.own?.ended.then((line) => say(`${line} Look at .trunkline/*.log.`))
    process.exitCode = await runCommand(words, { ...process.env, ...stack.environment })
  } finally {
    using _ = interruption()
    await stack.own?.stop()
    await state.release()
  }
}

/** Given addresses, the stack that runs, or a new one, in this order. */
async function startFor(state: DevState, wanted: WantedStack): Promise<RunStack> {
  using interrupted = interruption()
  const given = givenIn(process.env)
  if (isComplete(given, wanted)) {
    return { environment: (await startStack({ given, env: process.env, say })).environment(), own: undefined }
  }
  const other = await state.claim('run')
  if (other === undefined) {
    try {
      const own = await startDevStack(state, { ...wanted, env: process.env, say, signal: interrupted.signal })
      return { environment: own.environment(), own }
    } catch (error) {
      await state.release()
      throw error
    }
  }
  const found = await whenUp(state, other, interrupted.signal)
  checkRegistry(found, wanted.registry)
  say(
    `Uses the stack of "trunkline dev ${found.command}" (pid ${found.pid})${found.command === 'run' ? ', and loses it when that ends' : ''}.`,
  )
  return { environment: { ...found.environment, ...givenOnly(given) }, own: undefined }
}

async function whenUp(state: DevState, first: StackRecord, signal: AbortSignal): Promise<StackRecord> {
  let record: StackRecord | undefined = first
  while (record?.phase === 'starting') {
    signal.throwIfAborted()
    await sleep(pollMs)
    record = await state.running()
  }
  if (record !== undefined && (await isAnswering(record))) return record
  throw new ConfigurationError(
    'STACK_NOT_ANSWERING',
    `The stack of this project (pid ${first.pid}) does not answer. Run "trunkline dev down" and try again.`,
  )
}

function givenOnly({ brokers, databaseUrl, registryUrl }: GivenAddresses): Record<string, string> {
  return {
    ...(brokers === undefined ? {} : { KAFKA_BROKERS: brokers.join(','), KAFKA_DRIVER: 'kafkajs' }),
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    ...(registryUrl === undefined ? {} : { REGISTRY_URL: registryUrl }),
  }
}

/** @returns the exit code of the command: its own, or 128 and the number of the signal that ended it */
async function runCommand(words: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [command = '', ...args] = words
  const child = spawn(command, args, { env, stdio: 'inherit' })
  const watchdog = new Watchdog()
  const stopForwarding = forwardSignals(child)
  try {
    const ended = exitOf(child, command)
    if (child.pid !== undefined) await watchdog.chargeProcess(child.pid, 'SIGTERM', orphanKillAfterMs)
    return await ended
  } finally {
    stopForwarding()
    await watchdog.close()
  }
}

async function exitOf(child: ChildProcess, command: string): Promise<number> {
  return await new Promise((resolve) => {
    child.once('error', (error) => {
      say(`"${command}" cannot be run: ${error.message}.`)
      resolve(exitCodes.notFound)
    })
    child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)))
  })
}

/** The command decides how it ends; we stay until it has, because its servers must outlive it. */
function forwardSignals(child: ChildProcess): () => void {
  let interrupts = 0
  const onInterrupt = (): void => {
    interrupts++
    // A terminal sends Ctrl-C to the command as well as to us: forwarded, it would count twice.
    if (interrupts >= interruptsBeforeKill) child.kill('SIGKILL')
    else if (!process.stdin.isTTY) child.kill('SIGINT')
  }
  const onTerminate = (signal: NodeJS.Signals): void => void child.kill(signal)
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  process.on('SIGHUP', onTerminate)
  return () => {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
    process.off('SIGHUP', onTerminate)
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

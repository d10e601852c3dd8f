import { type ChildProcess, type ForkOptions, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { trunkline } from './run.ts'

const program = fileURLToPath(new URL('./small-heap-program.ts', import.meta.url))
const { NODE_OPTIONS: _, ...inherited } = process.env
const small = ['--max-semi-space-size=4', '--heap-growing-percent=20']

interface Told {
  readonly argv: readonly string[]
  readonly execArgv: readonly string[]
  readonly title: string | undefined
  readonly arenas: string | undefined
  readonly mark?: string
  readonly input: string
}

/** What the program says, and the process numbers of each of its starts. */
async function heard(child: ChildProcess): Promise<{ told: Told; starts: number[]; stderr: string }> {
  let [stdout, stderr] = ['', '']
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  for await (const chunk of child.stdout ?? []) {
    stdout += String(chunk)
    if (stdout.endsWith('\n')) break
  }
  return { told: JSON.parse(stdout), starts: stderr.trim().split('\n').map(Number), stderr }
}

function started(nodeArgs: readonly string[], args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn(process.execPath, [...nodeArgs, program, ...args], { env: { ...inherited, ...env } })
  child.stdin?.end('what was piped in')
  return child
}

describe.skipIf(process.platform === 'win32')('a start with a small heap', () => {
  test('is the same process, with its arguments, environment, input, signals and exit code', async () => {
    const child = started(['--stack-trace-limit=20'], ['wait', '', 'ä "b" $c'], { TITLE: 'of the user' })
    const { told, starts } = await heard(child)

    child.kill('SIGTERM')
    const [code, signal] = await once(child, 'exit')

    expect(starts).toEqual([child.pid, child.pid])
    expect(told).toEqual({
      argv: ['wait', '', 'ä "b" $c'],
      execArgv: [...small, '--stack-trace-limit=20'],
      title: 'of the user',
      arenas: '1',
      input: 'what was piped in',
    })
    expect([code, signal]).toEqual([7, null])
  })

  test.each([
    ['in NODE_OPTIONS', [], { NODE_OPTIONS: '--max-semi-space-size=16' }],
    ['in NODE_OPTIONS, as Node would have it', [], { NODE_OPTIONS: '--max_semi_space_size=0' }],
    ['on the command line', ['--max-semi-space-size=8'], {}],
  ])('leaves a limit that somebody gave as it is: %s', async (_, nodeArgs, env) => {
    const child = started(nodeArgs, [], { ...env, MALLOC_ARENA_MAX: '3' })

    const { told, starts } = await heard(child)

    expect(starts).toEqual([child.pid])
    expect(told).toMatchObject({ execArgv: nodeArgs, arenas: '3' })
  })

  test('does not end the channel of a parent that listens', async () => {
    const options: ForkOptions = { env: inherited, execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }
    const child = fork(program, [], options)

    const { told, starts } = await heard(child)

    expect(starts).toEqual([child.pid])
    expect(told.execArgv).toEqual([])
  })

  test('goes on where it is not allowed', async () => {
    const child = started(['--permission', '--allow-fs-read=*'], [])

    const { told } = await heard(child)

    expect(told.execArgv).toEqual(['--permission', '--allow-fs-read=*'])
  })

  test('goes on where the program of this process cannot be found', async () => {
    const lost = 'process.execPath = "/nowhere/node"'
    const child = started([`--import=data:text/javascript,${encodeURIComponent(lost)}`], [])

    const { told, starts } = await heard(child)

    expect(starts).toEqual([child.pid])
    expect(told.execArgv).not.toContain(small[0])
  })

  test('is done once, also where something empties the list of arguments for Node', async () => {
    const emptied = 'process.execArgv = []'
    const child = started([], [], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(emptied)}` })
    const beyond = setTimeout(() => child.kill('SIGKILL'), 10_000)

    const { told, starts } = await heard(child)
    clearTimeout(beyond)

    expect(starts).toEqual([child.pid, child.pid])
    expect(told.mark).toBeUndefined()
  })

  test('is what the relay has, and no other command; nobody is told that it is experimental', async () => {
    const told = encodeURIComponent("console.error('start', ...process.execArgv)")
    const environment = { NODE_OPTIONS: `--import=data:text/javascript,${told}` }

    const [relay, wrong, other] = await Promise.all(
      [
        ['relay', '--help'],
        ['relay', '--wrong'],
        ['outbox', '--help'],
      ].map((args) => trunkline(args, environment)),
    )

    expect(relay).toMatchObject({
      code: 0,
      stderr: `start\nstart ${small.join(' ')}\n`,
      stdout: expect.stringContaining('trunkline relay [options]'),
    })
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(`^start\nstart ${small.join(' ')}\nerror: unknown option '--wrong'`),
    })
    expect(other).toMatchObject({ code: 0, stderr: 'start\n' })
  })
})

#!/usr/bin/env node
/** The first file that runs: it imports nothing, so that an old Node can read it and say what is needed. */
const needed = [22, 18] as const
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major > needed[0] || (major === needed[0] && minor >= needed[1])) {
  void start()
} else {
  process.stderr.write(
    `trunkline needs Node ${needed.join('.')} or newer; this is ${process.versions.node}. Install it, or run: npx -p node@24 -- trunkline\n`,
  )
  process.exitCode = 2
}

/** Before the commands are loaded: it would be done twice. */
async function start(): Promise<void> {
  if (process.argv[2] === 'relay') (await import('./small-heap.ts')).startWithSmallHeap()
  await (await import('./cli.ts')).main(process.argv)
}

export {}

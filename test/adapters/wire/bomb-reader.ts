import { buffer } from 'node:stream/consumers'
import { decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'

/** Reads batches from standard input, and tells what stands in them and what reading took. */
const batches = await buffer(process.stdin)
const before = process.resourceUsage().maxRSS
const startedAt = performance.now()
const read = await decodeRecords(batches, [])
const ms = performance.now() - startedAt
const grownBytes = (process.resourceUsage().maxRSS - before) * 1024
const offsets = read.map((one) => ('unreadable' in one ? `${one.offset} ${one.unreadable?.code}` : String(one.offset)))
console.log(JSON.stringify({ ms, grownBytes, offsets }))

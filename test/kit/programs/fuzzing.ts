import { parentPort, workerData } from 'node:worker_threads'
import { fuzz } from '../../fuzz.ts'
import type { FuzzOrder } from '../prove-fuzz.ts'

const { runs, seed, progress } = workerData as FuzzOrder
const onRun = (run: number): void => {
  progress[0] = run
}
parentPort?.postMessage(fuzz({ runs, seed, onRun }))

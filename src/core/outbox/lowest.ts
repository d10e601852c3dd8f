/** @returns the lowest of the numbers that are there; `undefined` when none is */
export function lowest(numbers: Iterable<bigint | undefined>): bigint | undefined {
  let found: bigint | undefined
  for (const number of numbers) {
    if (number !== undefined && (found === undefined || number < found)) found = number
  }
  return found
}

/** One storm, of this moment; the long form runs many, each with a seed and settings of its own, and a seed can be given again. */
export function stormSeeds(): readonly number[] {
  const { TRUNKLINE_STORMS: storms = 1, TRUNKLINE_STORM_SEED: first = Date.now() % 100_000 } = process.env
  return Array.from({ length: Number(storms) }, (_, index) => Number(first) + index)
}

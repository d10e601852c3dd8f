/**
 * Says of a statement that fails from where it was sent: the server's error comes out of a socket, and names nobody.
 *
 * @param sent made where the statement was sent; its frames stand behind the error's own
 */
export async function withCallSite<Result>(answer: Promise<Result>, sent: Error): Promise<Result> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Error) error.stack = `${error.stack}\n${framesOf(sent)}`
    throw error
  }
}

function framesOf({ stack = '' }: Error): string {
  return stack.split('\n').slice(1).join('\n')
}

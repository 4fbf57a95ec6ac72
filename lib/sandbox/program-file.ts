/** Where the programs are: beside lib, as .ts in the project and as .js where it is built. */
import { extname, join } from 'node:path'

export function programFile(name: 'podgate' | 'kubectl-approve' | 'kubectl-podgate'): string {
  const { dirname, filename } = import.meta
  return join(dirname, '..', '..', 'cmd', name, `main${extname(filename)}`)
}

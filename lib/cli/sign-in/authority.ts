/** The PEM of a server's authority, from where a command line or a kubeconfig has it. */
import { readFile } from 'node:fs/promises'

import { errorText } from '../../errors/gateway-error.ts'
import { CliError, ExitCode } from '../cli-error.ts'

/** A file that was named wins over what the kubeconfig holds; undefined: the system's. */
export async function caOf(from: {
  caFile?: string | undefined
  caData?: string | undefined
}): Promise<string | undefined> {
  if (from.caFile !== undefined) {
    try {
      return await readFile(from.caFile, 'utf8')
    } catch (error) {
      throw new CliError(
        ExitCode.Error,
        `--ca-file ${from.caFile} cannot be read: ${errorText(error)}`,
      )
    }
  }
  return from.caData === undefined ? undefined : Buffer.from(from.caData, 'base64').toString('utf8')
}

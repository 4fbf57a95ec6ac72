#!/usr/bin/env node
/** `kubectl approve`: the process around lib/cli. */
import process from 'node:process'

import { useCompileCache } from '../../lib/cli/compile-cache.ts'

useCompileCache(process.env)
const { createProcessIo } = await import('../../lib/cli/io.ts')
const { runApprove } = await import('../../lib/cli/approve/command.ts')

process.exitCode = await runApprove(process.argv.slice(2), createProcessIo(process))

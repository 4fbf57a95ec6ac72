#!/usr/bin/env node
/** `kubectl podgate`: the process around lib/cli. */
import process from 'node:process'

import { useCompileCache } from '../../lib/cli/compile-cache.ts'

useCompileCache(process.env)
const { createProcessIo } = await import('../../lib/cli/io.ts')
const { runPodgate } = await import('../../lib/cli/podgate-command.ts')

process.exitCode = await runPodgate(process.argv.slice(2), createProcessIo(process))

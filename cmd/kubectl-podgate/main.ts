#!/usr/bin/env node
/** `kubectl podgate`: the process around lib/cli. */
import process from 'node:process'

import { createProcessIo } from '../../lib/cli/io.ts'
import { runPodgate } from '../../lib/cli/podgate-command.ts'

process.exitCode = await runPodgate(process.argv.slice(2), createProcessIo(process))

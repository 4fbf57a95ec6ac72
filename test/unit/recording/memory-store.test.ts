import { describeStore } from '../../conformance/store-suite.ts'
import { createMemoryStore } from '../../fakes/memory-store.ts'

describeStore('the memory store of the tests', () => Promise.resolve(createMemoryStore()))

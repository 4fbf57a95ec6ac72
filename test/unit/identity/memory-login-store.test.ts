import { describeLoginStore } from '../../conformance/login-store-suite.ts'
import { createMemoryLoginStore } from '../../fakes/memory-login-store.ts'

describeLoginStore('the login store in memory', () => Promise.resolve(createMemoryLoginStore()))

/** Process entry of the development user service. */
import { pino } from 'pino';
import { runUntilSignal } from '../common/process';
import { DevUserService, userServiceConfig } from './user-service';

const log = pino({ name: 'dev-user-service', level: process.env.LOG_LEVEL ?? 'info' });
void runUntilSignal(() => new DevUserService(userServiceConfig(process.env), log), log);

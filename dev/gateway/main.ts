/** Process entry of the development gateway. */
import { pino } from 'pino';
import { runUntilSignal } from '../common/process';
import { gatewayConfig } from './config';
import { DevGateway } from './gateway';

const log = pino({ name: 'dev-gateway', level: process.env.LOG_LEVEL ?? 'info' });
void runUntilSignal(() => new DevGateway(gatewayConfig(process.env), log), log);

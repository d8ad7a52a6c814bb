/** `npm run demo`: tells on the terminal what the running system does, and checks each claim. */
import { demoConfig } from './config';
import { groupChapter } from './group-chapter';
import { privateChapter } from './private-chapter';
import { Story } from './story';
import { RunningSystem } from './system';

/** Resolves with whether everything happened as told. */
async function tell(): Promise<boolean> {
  const story = new Story(process.stdout);
  const system = new RunningSystem(demoConfig(process.env));
  const run = Date.now().toString(36); // users of its own for each run
  try {
    await system.requireReady();
    await privateChapter(story, system, run);
    await groupChapter(story, system, run);
    story.end();
    return true;
  } catch (error) {
    story.failed(error);
    return false;
  } finally {
    await system.close();
  }
}

// A socket that a failed step left open must not keep the process: leave with the outcome.
void tell().then((asTold) => process.exit(asTold ? 0 : 1));

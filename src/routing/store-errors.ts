/** A store's failure as the spec's code for it; the caller is told no more than that. */
import { asImError } from '../domain/errors';

/** `work`'s outcome; rejects with RETRIEVAL_ERROR. */
export async function reading<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asImError(error, 'RETRIEVAL_ERROR', 'the database did not answer as it should');
  }
}

/** `work`'s outcome; rejects with STORAGE_ERROR. */
export async function writing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asImError(error, 'STORAGE_ERROR', 'the database did not take it');
  }
}

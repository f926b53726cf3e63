/** The source of the worker, which nalu/live/front.py puts before a view. */
declare const WORKER: string;

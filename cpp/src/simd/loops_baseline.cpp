#define CONSILIENCE_LOOPS kBaselineLoops
#define CONSILIENCE_LOOPS_NAME "baseline"
#include "loops.inc"

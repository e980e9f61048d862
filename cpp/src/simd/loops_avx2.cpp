#define CONSILIENCE_LOOPS kAvx2Loops
#define CONSILIENCE_LOOPS_NAME "avx2"
#include "loops.inc"

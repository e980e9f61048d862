#define CONSILIENCE_LOOPS kAvx512Loops
#define CONSILIENCE_LOOPS_NAME "avx512"
#include "loops.inc"

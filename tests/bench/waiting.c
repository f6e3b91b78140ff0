// A payload that stays until it is killed.
#include <unistd.h>

int main(void) { return pause(); }

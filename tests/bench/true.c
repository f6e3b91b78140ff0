// The container's payload: does nothing, so that only the runtime is measured.
int main(void) { return 0; }

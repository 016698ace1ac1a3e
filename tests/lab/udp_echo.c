/* udp-echo PORT: sends each datagram back to where it came from. */
static long call(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return r;
}
__attribute__((used)) static void run(long *stack) {
  char buffer[2048];
  unsigned char peer[16], own[16] = {2};
  unsigned port = 0, size;
  for (char *p = (char *)stack[2]; *p; p++) port = port * 10 + (*p - '0');
  own[2] = port >> 8;
  own[3] = port;
  long s = call(41, 2, 2, 0, 0, 0, 0);
  if (call(49, s, (long)own, 16, 0, 0, 0)) call(231, 1, 0, 0, 0, 0, 0);
  for (;;) {
    size = 16;
    long n = call(45, s, (long)buffer, sizeof buffer, 0, (long)peer, (long)&size);
    if (n >= 0) call(44, s, (long)buffer, n, 0, (long)peer, size);
  }
}
__asm__(".globl _start\n_start: mov %rsp,%rdi\nand $-16,%rsp\ncall run\n");

// The C library's start without its survey of the processor: __libc_start_main of a static glibc asks CPUID some
// 80 times, for the sizes of all caches and the variants of its string functions. In a virtual machine each of
// them traps (0.1 to 0.7 ms for one start); husk lives for two milliseconds and copies no long memory. Here the
// steps are those of glibc's own (csu/libc-start.c of 2.36, the part without SHARED), in its order, without
// ARCH_INIT_CPU_FEATURES: string functions then are those that every x86-64 has.
// Only for the version that CMakeLists.txt names. With another the linker takes libc.a's own start.
#include <elf.h>
#include <link.h>
#include <locale.h>

#include <cstdint>
#include <cstdlib>

#if !defined(__x86_64__) || !defined(__GLIBC__) || __GLIBC__ != 2 || __GLIBC_MINOR__ != 36
#error "the start of another C library: take its own"
#endif

extern "C" {
#pragma GCC visibility push(hidden)
// What libc-start.o of libc.a calls; none of it is an interface, which is why the version is checked.
extern char** __environ;
extern void* __libc_stack_end;
extern void* _dl_random;
extern int __libc_enable_secure;
void _dl_aux_init(ElfW(auxv_t) *);
void __tunables_init(char** environment);
void _dl_relocate_static_pie();
void __libc_setup_tls();
void __libc_early_init(bool initial);
void __libc_init_first(int argc, char** argv, char** environment);
void __libc_check_standard_fds();
extern struct __locale_struct _nl_C_locobj;
int __strcasecmp_l_nonascii(const char* one, const char* other, locale_t locale);
int __cxa_atexit(void (*function)(void*), void* argument, void* dso);
void _init();
void _fini();

using Initialiser = void (*)(int, char**, char**);
using Finaliser = void (*)();
extern Initialiser __preinit_array_start[];
extern Initialiser __preinit_array_end[];
extern Initialiser __init_array_start[];
extern Initialiser __init_array_end[];
extern Finaliser __fini_array_start[];
extern Finaliser __fini_array_end[];
[[gnu::weak]] extern const ElfW(Rela) __rela_iplt_start[];
[[gnu::weak]] extern const ElfW(Rela) __rela_iplt_end[];

// Where memcpy and memset change their way, in bytes: what glibc's sysdeps/x86/cacheinfo.h begins with.
long __x86_data_cache_size_half = 32 * 1024 / 2;
long __x86_data_cache_size = 32 * 1024;
long __x86_shared_cache_size_half = 1024 * 1024 / 2;
long __x86_shared_cache_size = 1024 * 1024;
long __x86_shared_non_temporal_threshold = 1024 * 1024 * 3 / 4;
long __x86_rep_movsb_threshold = 2048;
long __x86_rep_stosb_threshold = 2048;
long __x86_rep_movsb_stop_threshold = 1024 * 1024 * 3 / 4;
int __x86_string_control = 0;
#pragma GCC visibility pop

// What strings.ld names. husk's programs never leave the C locale.
int husk_strcasecmp(const char* one, const char* other);
char* husk_untranslated(const char* domain, const char* text, int category);
int husk_no_conversion();
int husk_no_float();
int husk_read_only();
extern const long husk_no_steps[4];
unsigned husk_btowc(int c);
unsigned long husk_mbrtowc(wchar_t* wide, const char* text, unsigned long size);
unsigned long husk_wcrtomb(char* text, wchar_t wide);
unsigned long husk_wcsrtombs();

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*)(), void (*)(),
                      void (*rtld_fini)(), void* stack_end);
}

namespace {

void call_finalisers(void*) {
  for (auto i = __fini_array_end - __fini_array_start; i > 0; --i) __fini_array_start[i - 1]();
  _fini();
}

// R_X86_64_IRELATIVE of a program that is static without being position independent.
void apply_indirect_relocations() {
  for (auto rela = __rela_iplt_start; rela < __rela_iplt_end; ++rela) {
    const auto resolver = reinterpret_cast<ElfW(Addr) (*)()>(rela->r_addend);
    *reinterpret_cast<ElfW(Addr)*>(rela->r_offset) = resolver();
  }
}

void call_initialisers(int argc, char** argv) {
  for (auto each = __preinit_array_start; each != __preinit_array_end; ++each) (*each)(argc, argv, __environ);
  _init();
  for (auto each = __init_array_start; each != __init_array_end; ++each) (*each)(argc, argv, __environ);
}

}  // namespace

extern "C" int husk_strcasecmp(const char* one, const char* other) { return __strcasecmp_l_nonascii(one, other, &_nl_C_locobj); }

extern "C" char* husk_untranslated(const char*, const char* text, int) { return const_cast<char*>(text); }

// __gconv_find_transform and __wcsmbs_…: asked for when a locale other than C is set, and by fopen(3) with ",ccs=".
// 1 is __GCONV_NOCONV of gconv.h.
extern "C" int husk_no_conversion() { return 1; }

// The C locale knows the characters of ASCII and no others. Source: man 3 btowc, mbrtowc, wcrtomb.
extern "C" unsigned husk_btowc(int c) { return c >= 0 && c < 128 ? static_cast<unsigned>(c) : ~0U; }
extern "C" unsigned long husk_mbrtowc(wchar_t* wide, const char* text, unsigned long size) {
  if (text == nullptr) return 0;
  if (size == 0) return ~1UL;
  if ((*text & 0x80) != 0) return ~0UL;
  if (wide != nullptr) *wide = *text;
  return *text != 0 ? 1 : 0;
}
extern "C" unsigned long husk_wcrtomb(char* text, wchar_t wide) {
  if (text == nullptr) return 1;
  if (wide < 0 || wide >= 128) return ~0UL;
  *text = static_cast<char>(wide);
  return 1;
}
// Of printf's %ls, and what it asks before %n of a program with _FORTIFY_SOURCE: an error, and no.
extern "C" unsigned long husk_wcsrtombs() { return ~0UL; }
extern "C" int husk_read_only() { return -1; }

// struct gconv_fcts of wcsmbsload.h: no step in either direction. Only streams of wide characters look at it.
extern "C" const long husk_no_steps[4] = {};

// __printf_fp and __printf_fphex: the error of a printf that has a floating-point number in it. runtime/base/format.h has none.
extern "C" int husk_no_float() { return -1; }

extern "C" int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*)(), void (*)(),
                                 void (*rtld_fini)(), void* stack_end) {
  __environ = argv + argc + 1;
  __libc_stack_end = stack_end;
  char** end = __environ;
  while (*end != nullptr) ++end;
  _dl_aux_init(reinterpret_cast<ElfW(auxv_t)*>(end + 1));
  __tunables_init(__environ);
  _dl_relocate_static_pie();
  apply_indirect_relocations();
  __libc_setup_tls();
  // tcbhead_t: stack_guard at 0x28, its lowest byte 0 so that no text runs over it; pointer_guard at 0x30.
  const auto* random = static_cast<const std::uintptr_t*>(_dl_random);
  __asm__ volatile("movq %0, %%fs:0x28" : : "r"(random[0] & ~std::uintptr_t{0xff}));
  __asm__ volatile("movq %0, %%fs:0x30" : : "r"(random[1]));
  if (rtld_fini != nullptr) __cxa_atexit(reinterpret_cast<void (*)(void*)>(rtld_fini), nullptr, nullptr);
  __libc_early_init(true);
  __libc_init_first(argc, argv, __environ);
  __cxa_atexit(call_finalisers, nullptr, nullptr);
  if (__libc_enable_secure != 0) __libc_check_standard_fds();
  call_initialisers(argc, argv);
  std::exit(main(argc, argv, __environ));
}

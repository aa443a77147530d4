package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

/** That inner loops are found in listings as nvcc and cuobjdump print them. */
class InnerLoopTest {
    @Test
    void inPtx() {
        String ptx = """
                .visible .entry solve(
                \t.param .u64 solve_param_0
                )
                {
                \t.reg .b32 \t%r<9>;
                \tmov.u32 \t%r1, %tid.x;
                $L__BB0_1:
                \t// begin inline asm
                \tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f1};
                \t// end inline asm
                \tadd.s32 \t%r1, %r1, 1;
                \t@%p1 bra \t$L__BB0_1;
                \tret;
                }
                """;
        InnerLoop loop = InnerLoop.ofPtx(ptx).get("solve");
        assertEquals(3, loop.instructions().size(), () -> loop.toString());
        assertEquals(1, loop.count("mma.sync"));
    }

    @Test
    void inSass() {
        String sass = """
                \t\tFunction : solve
                \t.headerflags\t@"EF_CUDA_SM90"
                        /*0000*/                   LDC R1, c[0x0][0x28] ;                 /* 0x00000a00ff017b82 */
                                                                                          /* 0x000fe20000000800 */
                        /*0010*/                   HMMA.16816.F32 R4, R8, R12, R4 ;       /* 0x0000000c0804723c */
                        /*0020*/                   STL [R1], R4 ;                         /* 0x0000000401007387 */
                        /*0030*/              @P0 BRA 0x10 ;                              /* 0xfffffffc00f40947 */
                        /*0040*/                   EXIT ;                                 /* 0x000000000000794d */
                \t\tFunction : list
                        /*0000*/                   EXIT ;                                 /* 0x000000000000794d */
                """;
        assertEquals(new InnerLoop(List.of("HMMA.16816.F32 R4, R8, R12, R4", "STL [R1], R4", "@P0 BRA 0x10")), InnerLoop.ofSass(sass).get("solve"));
        assertEquals(0, InnerLoop.ofSass(sass).get("list").instructions().size());
    }

    @Test
    void inSassWithLabels() {
        String sass = """
                \t.section\t.text.solve,"ax",@progbits
                .text.solve:
                        /*0000*/                   LDC R1, c[0x0][0x28] ;
                .L_x_0:
                        /*0010*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
                        /*0020*/              @P0 BRA `(.L_x_0) ;
                        /*0030*/                   EXIT ;
                \t.section\t.text.list,"ax",@progbits
                .text.list:
                        /*0000*/                   EXIT ;
                """;
        assertEquals(new InnerLoop(List.of("HMMA.16816.F32 R4, R8, R12, R4", "@P0 BRA `(.L_x_0)")), InnerLoop.ofSass(sass).get("solve"));
        assertEquals(0, InnerLoop.ofSass(sass).get("list").instructions().size());
    }
}

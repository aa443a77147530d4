package io.github.flashlla.tornado.kernels.tile;

import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jdk.graal.compiler.core.common.type.StampFactory;
import jdk.graal.compiler.graph.NodeClass;
import jdk.graal.compiler.graph.NodeInputList;
import jdk.graal.compiler.lir.LIRInstruction;
import jdk.graal.compiler.lir.LIRInstructionClass;
import jdk.graal.compiler.lir.Opcode;
import jdk.graal.compiler.lir.asm.CompilationResultBuilder;
import jdk.graal.compiler.lir.gen.LIRGeneratorTool;
import jdk.graal.compiler.nodeinfo.NodeCycles;
import jdk.graal.compiler.nodeinfo.NodeInfo;
import jdk.graal.compiler.nodeinfo.NodeSize;
import jdk.graal.compiler.nodes.FixedWithNextNode;
import jdk.graal.compiler.nodes.ValueNode;
import jdk.graal.compiler.nodes.graphbuilderconf.GraphBuilderContext;
import jdk.graal.compiler.nodes.graphbuilderconf.InvocationPlugin;
import jdk.graal.compiler.nodes.graphbuilderconf.InvocationPlugins;
import jdk.graal.compiler.nodes.memory.SingleMemoryKill;
import jdk.graal.compiler.nodes.spi.LIRLowerable;
import jdk.graal.compiler.nodes.spi.NodeLIRBuilderTool;
import jdk.vm.ci.meta.JavaKind;
import jdk.vm.ci.meta.ResolvedJavaMethod;
import jdk.vm.ci.meta.Value;
import org.graalvm.word.LocationIdentity;
import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.drivers.cuda.CUDABackendImpl;
import uk.ac.manchester.tornado.drivers.cuda.graal.asm.CUDAAssembler;
import uk.ac.manchester.tornado.drivers.cuda.graal.compiler.CUDACompilationResultBuilder;
import uk.ac.manchester.tornado.runtime.TornadoCoreRuntime;
import uk.ac.manchester.tornado.runtime.graal.nodes.interfaces.MarkArrayParameterAccess;

/**
 * Makes TornadoVM's CUDA compiler write the {@link CudaC} of methods in place of calling them. Compiled against one
 * version of TornadoVM, as all files beside it, and loaded by name by {@link TileOperations}.
 */
public final class TileCompiler {
    private TileCompiler() {}

    /** Registers every annotated method of a class with the compiler of one CUDA device, and of the first, which sketches for all. */
    public static void register(Class<?> operations, int device) {
        CUDABackendImpl cuda = TornadoCoreRuntime.getTornadoRuntime().getBackend(CUDABackendImpl.class);
        for (int index : device == 0 ? new int[] {0} : new int[] {0, device}) {
            InvocationPlugins plugins = cuda.getBackend(0, index).getProviders().getReplacements().getGraphBuilderPlugins()
                    .getInvocationPlugins();
            for (Method method : operations.getDeclaredMethods()) {
                CudaC text = method.getAnnotation(CudaC.class);
                if (text != null) {
                    plugins.register(operations, new TextPlugin(method, text));
                }
            }
        }
    }

    private static final class TextPlugin extends InvocationPlugin {
        private final CudaC text;
        private final JavaKind result;

        TextPlugin(Method method, CudaC text) {
            super(method.getName(), method.getParameterTypes());
            this.text = text;
            this.result = JavaKind.fromJavaClass(method.getReturnType());
        }

        @Override
        public boolean defaultHandler(GraphBuilderContext b, ResolvedJavaMethod target, Receiver receiver, ValueNode... arguments) {
            TextNode node = text.effect() ? new EffectNode(text, result, arguments)
                    : new TextNode(TextNode.TYPE, text, result, arguments);
            if (result == JavaKind.Void) {
                b.add(node);
            } else {
                b.addPush(result, node);
            }
            return true;
        }
    }

    /** A value that CUDA C computes. */
    @NodeInfo(cycles = NodeCycles.CYCLES_UNKNOWN, size = NodeSize.SIZE_UNKNOWN)
    static class TextNode extends FixedWithNextNode implements LIRLowerable {
        static final NodeClass<TextNode> TYPE = NodeClass.create(TextNode.class);

        @Input NodeInputList<ValueNode> arguments;
        final CudaC text;
        final JavaKind result;

        TextNode(NodeClass<? extends TextNode> type, CudaC text, JavaKind result, ValueNode[] arguments) {
            super(type, result == JavaKind.Void ? StampFactory.forVoid() : StampFactory.forKind(result));
            this.text = text;
            this.result = result;
            this.arguments = new NodeInputList<>(this, arguments);
        }

        @Override
        public void generate(NodeLIRBuilderTool builder) {
            LIRGeneratorTool generator = builder.getLIRGeneratorTool();
            Value[] operands = arguments.stream().map(builder::operand).toArray(Value[]::new);
            Value value = Value.ILLEGAL;
            if (result != JavaKind.Void) {
                value = generator.newVariable(generator.getLIRKind(stamp)); // declared at the kernel's head by TornadoVM
                builder.setResult(this, value);
            }
            generator.append(new TextInstruction(text, value, operands));
        }
    }

    /** One with effects: no read of an array moves over it, and none is folded to what was there before. */
    @NodeInfo(cycles = NodeCycles.CYCLES_UNKNOWN, size = NodeSize.SIZE_UNKNOWN)
    static final class EffectNode extends TextNode implements SingleMemoryKill, MarkArrayParameterAccess {
        static final NodeClass<EffectNode> TYPE = NodeClass.create(EffectNode.class);

        EffectNode(CudaC text, JavaKind result, ValueNode[] arguments) {
            super(TYPE, text, result, arguments);
        }

        @Override
        public LocationIdentity getKilledLocationIdentity() {
            return LocationIdentity.any();
        }

        @Override
        public Access getArrayParameterAccess(ValueNode parameter) {
            boolean read = holds(text.reads(), parameter);
            boolean write = holds(text.writes(), parameter);
            return read ? write ? Access.READ_WRITE : Access.READ_ONLY : write ? Access.WRITE_ONLY : Access.NONE;
        }

        private boolean holds(int[] indexes, ValueNode parameter) {
            return Arrays.stream(indexes).anyMatch((int i) -> MarkArrayParameterAccess.unwrapPi(arguments.get(i))
                    == MarkArrayParameterAccess.unwrapPi(parameter));
        }
    }

    @Opcode("CUDA_TEXT")
    static final class TextInstruction extends LIRInstruction {
        static final LIRInstructionClass<TextInstruction> TYPE = LIRInstructionClass.create(TextInstruction.class);

        @Def({OperandFlag.REG, OperandFlag.ILLEGAL}) protected Value result;
        @Use({OperandFlag.REG, OperandFlag.CONST, OperandFlag.ILLEGAL}) protected Value[] operands;
        private final CudaC text;

        TextInstruction(CudaC text, Value result, Value[] operands) {
            super(TYPE);
            this.text = text;
            this.result = result;
            this.operands = operands;
        }

        @Override
        public void emitCode(CompilationResultBuilder builder) {
            CUDACompilationResultBuilder cuda = (CUDACompilationResultBuilder) builder;
            CUDAAssembler out = cuda.getAssembler();
            List<String> names = Arrays.stream(operands).map((Value operand) -> out.getStringValue(cuda, operand)).toList();
            String line = CudaText.of(text.value(), names, Value.ILLEGAL.equals(result) ? null : out.getStringValue(cuda, result));
            switch (text.place()) {
                case HERE -> {
                    out.indent();
                    out.emitString0(line); // emit() would take % for a format
                    out.eol();
                }
                case HEAD -> rewrite(out, "(__global__ void)( \\w+\\()", line);
                case DECLARATION -> rewrite(out, "(__shared__)( \\w+ " + out.getStringValue(cuda, operands[0]) + "\\[)", line);
            }
        }

        /** Puts a text between two parts of what was written before. */
        private static void rewrite(CUDAAssembler out, String pattern, String line) {
            String before = new String(out.copy(0, out.position()), StandardCharsets.UTF_8);
            Matcher matcher = Pattern.compile(pattern).matcher(before);
            if (!matcher.find()) {
                throw new IllegalStateException("the kernel's source has no " + pattern);
            }
            out.reset();
            out.emitString0(before.substring(0, matcher.end(1)) + " " + line + before.substring(matcher.start(2)));
        }
    }
}

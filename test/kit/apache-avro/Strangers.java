import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Apache Avro for Java, asked by a test. A question is three lines: the writer's schema, the reader's schema, and a value in
 * single-object encoding, in hexadecimal digits. The answer is three lines: the fingerprint of the writer's schema, what the
 * reader read as JSON, and the same encoded again with the reader's schema.
 */
public class Strangers {
  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      Schema writer = new Schema.Parser().parse(line);
      Schema reader = new Schema.Parser().parse(in.readLine());
      byte[] value = HexFormat.of().parseHex(in.readLine());
      GenericData model = new GenericData();
      BinaryMessageDecoder<GenericRecord> decoder = new BinaryMessageDecoder<>(model, reader);
      decoder.addSchema(writer);
      GenericRecord record = decoder.decode(value);
      ByteBuffer again = new BinaryMessageEncoder<GenericRecord>(model, reader).encode(record);
      byte[] bytes = new byte[again.remaining()];
      again.get(bytes);
      System.out.println(String.format("%016x", SchemaNormalization.parsingFingerprint64(writer)));
      System.out.println(record);
      System.out.println(HexFormat.of().formatHex(bytes));
    }
  }
}
